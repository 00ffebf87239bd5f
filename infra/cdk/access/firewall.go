package access

import (
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/config"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// Group is a security group: whoever is in it has exactly the connections that
// the rules name.
type Group string

// The groups.
const (
	Entry       Group = "entry"         // GitLab's application load balancer
	SSHEntry    Group = "ssh-entry"     // the network load balancer for Git over SSH
	Private     Group = "private-entry" // the second load balancer, for the manager and jobs
	GitLab      Group = "gitlab"        // GitLab's instance or task
	Database    Group = "database"      // RDS
	Redis       Group = "redis"         // ElastiCache
	Disk        Group = "disk"          // EFS
	Manager     Group = "manager"       // the host with gitlab-runner
	Coordinator Group = "coordinator"   // the tasks of jobs
	Builds      Group = "builds"        // CodeBuild in the VPC
	Endpoints   Group = "endpoints"     // interface endpoints
)

// Rule allows TCP connections from one to another.
type Rule struct {
	From, To string // a Group, or a range of addresses
	Port     int
	Why      string // also the description in EC2, which takes no apostrophe
}

// IsRange says that an end of a rule is a range of addresses, not a group.
func IsRange(end string) bool { return strings.Contains(end, "/") }

// World is every address.
const World = "0.0.0.0/0"

// sshPort is the port of Git over SSH, and of the agent in a job's task: what
// the official driver's images listen on too.
const sshPort = 22

// metricsPort is where gitlab-runner serves its metrics.
const metricsPort = 9252

// dockerPort is where CodeBuild's Docker server listens, as its reference says.
const dockerPort = 9876

// Ports of the stores.
const (
	postgresPort = 5432
	redisPort    = 6379
	nfsPort      = 2049
)

// Firewall lists every rule of a deployment. natAddresses are the addresses by
// which the private subnets reach an internet-facing entry.
func Firewall(s settings.Settings, natAddresses []string) []Rule {
	var rules []Rule
	add := func(from, to string, port int, why string) {
		rules = append(rules, Rule{from, to, port, why})
	}
	entryPort := EntryPort(s)
	if s.GitLab.Compute != "none" {
		gitlabRules(s, entryPort, natAddresses, add)
	}

	add(string(Manager), string(Coordinator), sshPort, "the driver runs the scripts of jobs over SSH; nothing else can reach a job")
	if s.Runners.NamesImages() {
		add(string(Manager), string(Coordinator), config.Default().Images.Port, "the same, for jobs in images of their own")
	}
	for _, g := range []Group{Manager, Coordinator, GitLab, Builds} {
		if g == GitLab && s.GitLab.Compute == "none" || g == Builds && !(s.Builds.Enabled && s.Builds.InVPC) {
			continue
		}
		if len(s.Network.Endpoints) > 0 && s.Network.VPC == "" {
			add(string(g), string(Endpoints), 443, "AWS services through the interface endpoints")
		}
		for _, port := range outPorts(s, g) {
			add(string(g), World, port, outWhy(g, port))
		}
	}
	if s.Builds.Enabled && s.Builds.InVPC && s.Builds.DockerServer {
		add(string(Builds), string(Builds), dockerPort, "builds reach the Docker server of CodeBuild")
	}
	if s.Runners.MetricsCIDR != "" {
		add(s.Runners.MetricsCIDR, string(Manager), metricsPort, "Prometheus reads the metrics of gitlab-runner (runners.metrics_cidr)")
	}
	return rules
}

// EntryPort is the port of the web entry.
func EntryPort(s settings.Settings) int {
	if s.Entry.PlainHTTP {
		return 80
	}
	return 443
}

func gitlabRules(s settings.Settings, entryPort int, natAddresses []string, add func(from, to string, port int, why string)) {
	front := Entry // who meets the people
	if s.Entry.SSH == "in-front" {
		front = SSHEntry
		add(string(SSHEntry), string(Entry), entryPort, "the web, handed on by the network load balancer")
	}
	for _, cidr := range s.Entry.AllowedCIDRs {
		add(cidr, string(front), entryPort, "people, as entry.allowed_cidrs says")
		if entryPort == 443 && front == Entry {
			add(cidr, string(front), 80, "is redirected to HTTPS")
		}
		if s.Entry.SSH != "none" {
			add(cidr, string(SSHEntry), sshPort, "Git over SSH, for the same people")
		}
	}
	inside := front // what the manager and jobs talk to
	if s.Entry.Private {
		inside = Private
		add(string(Private), string(GitLab), 80, "the same for the manager and jobs")
	}
	if s.Entry.Scheme == "internal" || s.Entry.Private {
		add(string(Manager), string(inside), entryPort, "gitlab-runner asks for jobs")
		add(string(Coordinator), string(inside), entryPort, "jobs clone, and keep artifacts")
	} else {
		for _, address := range natAddresses {
			add(address+"/32", string(front), entryPort, "gitlab-runner and jobs, by the address of the NAT")
		}
	}
	add(string(Entry), string(GitLab), 80, "the load balancer ends TLS; GitLab speaks HTTP inside the VPC")
	if s.Entry.SSH != "none" {
		add(string(SSHEntry), string(GitLab), sshPort, "Git over SSH")
		add(string(SSHEntry), string(GitLab), 80, "health checks of the network load balancer")
	}
	if s.GitLab.Compute == "fargate" {
		add(string(GitLab), string(Disk), nfsPort, "the data of GitLab on EFS")
	}
	if s.GitLab.Database != "bundled" {
		add(string(GitLab), string(Database), postgresPort, "PostgreSQL, for GitLab alone")
	}
	if s.GitLab.Redis != "bundled" {
		add(string(GitLab), string(Redis), redisPort, "Redis, for GitLab alone")
	}
}

// outPorts is what a group reaches outside.
func outPorts(s settings.Settings, g Group) []int {
	switch {
	case g == Manager:
		// The manager installs and asks over HTTPS; GitLab itself may be at a
		// plain HTTP address.
		if plain := s.GitLab.Compute != "none" && s.Entry.PlainHTTP || strings.HasPrefix(s.GitLab.URL, "http://"); plain {
			return []int{443, 80}
		}
		return []int{443}
	case s.Network.Egress == "none" && s.Network.VPC == "":
		// S3's gateway endpoint has addresses of its own; nothing else is routed.
		return []int{443}
	}
	return s.Network.OutPorts
}

func outWhy(g Group, port int) string {
	switch {
	case g == Manager:
		return "GitLab, AWS, and the download of gitlab-runner"
	case g == GitLab && port == 443:
		return "its image, webhooks, updates, S3"
	case port == 443:
		return "what jobs fetch; S3 and GitLab too"
	}
	return "what network.out_ports lets out"
}
