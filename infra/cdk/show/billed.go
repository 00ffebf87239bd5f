package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// billed lists what costs money as long as it exists, and what costs by use.
// There are no prices: they differ by Region and change.
func (t tables) billed(w io.Writer) {
	var always, byUse [][]string
	add := func(what string, n int, unit string) {
		if n > 0 {
			always = append(always, []string{strconv.Itoa(n), what, unit})
		}
	}
	add("NAT gateway", len(t.Of("AWS::EC2::NatGateway")), "hour, and GB through it")
	for _, r := range t.Of("AWS::EC2::Instance") {
		add("NAT instance "+plain(r.Properties["InstanceType"]), 1, "hour")
		add("GiB of gp3 disk (NAT instance)", number(template.At(r.Properties, "BlockDeviceMappings", 0, "Ebs", "VolumeSize")), "month")
	}
	add("public IPv4 address (NAT)", len(t.Of("AWS::EC2::EIP")), "hour")
	zones := 0
	for _, r := range t.Of("AWS::EC2::VPCEndpoint") {
		if r.Properties["VpcEndpointType"] == "Interface" {
			zones += len(template.Many(r.Properties["SubnetIds"]))
		}
	}
	add("interface endpoint in one zone", zones, "hour, and GB through it")
	for _, r := range t.Of("AWS::ElasticLoadBalancingV2::LoadBalancer") {
		kind := plain(r.Properties["Type"])
		add(kind+" load balancer", 1, "hour, and capacity units")
		if r.Properties["Scheme"] == "internet-facing" {
			add("public IPv4 address (load balancer)", 2, "hour")
		}
	}
	for _, r := range t.Of("AWS::EC2::LaunchTemplate") {
		data := r.Properties["LaunchTemplateData"]
		add("instance "+plain(template.At(data, "InstanceType"))+" ("+plain(r.Properties["LaunchTemplateName"])+")", 1, "hour")
		add("GiB of gp3 disk ("+plain(r.Properties["LaunchTemplateName"])+", system)", number(template.At(data, "BlockDeviceMappings", 0, "Ebs", "VolumeSize")), "month")
		if template.At(data, "Monitoring", "Enabled") == true {
			add("detailed monitoring ("+plain(r.Properties["LaunchTemplateName"])+")", 1, "month, as seven metrics")
		}
	}
	for _, r := range t.Of("AWS::EC2::Volume") {
		add("GiB of gp3 disk (GitLab's data)", number(r.Properties["Size"]), "month")
	}
	for _, r := range t.Of("AWS::RDS::DBInstance") {
		n, what := 1, "database "+plain(r.Properties["DBInstanceClass"])
		if r.Properties["MultiAZ"] == true {
			n, what = 2, what+" (one is the standby; billed as Multi-AZ)"
		}
		add(what, n, "hour")
		add("GiB of database storage", n*number(r.Properties["AllocatedStorage"]), "month")
	}
	for _, r := range t.Of("AWS::ElastiCache::ReplicationGroup") {
		add("Redis node "+plain(r.Properties["CacheNodeType"]), number(r.Properties["NumCacheClusters"]), "hour")
	}
	t.services(add)
	add("KMS key", len(t.Of("AWS::KMS::Key")), "month")
	add("secret", len(t.Of("AWS::SecretsManager::Secret")), "month")
	add("alarm", len(t.Of("AWS::CloudWatch::Alarm")), "month")
	add("dashboard", len(t.Of("AWS::CloudWatch::Dashboard")), "month")
	table(w, "Billed as long as it exists", always)

	use := func(what, unit string, kinds ...string) {
		for _, kind := range kinds {
			if len(t.Of(kind)) > 0 {
				byUse = append(byUse, []string{what, unit})
				return
			}
		}
	}
	for _, r := range t.Of("AWS::ECS::TaskDefinition") {
		if strings.Contains(plain(r.Properties["Family"]), "-job-") {
			byUse = append(byUse, []string{"jobs in " + plain(r.Properties["Family"]), fmt.Sprintf("second of %s CPU units and %s MiB, from the image's pull on", plain(r.Properties["Cpu"]), plain(r.Properties["Memory"]))})
		}
	}
	use("builds", "minute of the compute size", "AWS::CodeBuild::Project")
	use("EFS", "GiB month, and GB read and written", "AWS::EFS::FileSystem")
	use("buckets and images", "GB month, and requests", "AWS::S3::Bucket", "AWS::ECR::Repository")
	use("logs", "GB taken in, and GB month", "AWS::Logs::LogGroup")
	use("backups", "GB month", "AWS::Backup::BackupPlan")
	use("metrics that hosts report", "metric month: disks, memory, gitlab-runner; and request", "AWS::EC2::LaunchTemplate")
	table(w, "Billed by use", byUse)
}

// services are GitLab's own task, which runs always.
func (t tables) services(add func(what string, n int, unit string)) {
	for _, s := range t.Of("AWS::ECS::Service") {
		for _, d := range t.Of("AWS::ECS::TaskDefinition") {
			if plain(s.Properties["TaskDefinition"]) == d.ID && s.Stack == d.Stack {
				add("CPU units of Fargate ("+plain(d.Properties["Family"])+")", number(d.Properties["Cpu"]), "second; 1024 are one vCPU")
				add("MiB of Fargate ("+plain(d.Properties["Family"])+")", number(d.Properties["Memory"]), "second")
			}
		}
	}
}

func number(v any) int {
	switch v := v.(type) {
	case float64:
		return int(v)
	case string:
		n, err := strconv.Atoi(v)
		if err == nil {
			return n
		}
	}
	return 0
}
