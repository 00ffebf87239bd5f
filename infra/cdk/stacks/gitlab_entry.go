package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	targets "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2targets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53targets"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
)

// readiness is what load balancers ask. GitLab's own page for AWS uses it; it
// answers those in monitoring_whitelist only, others get 404.
const readiness = "/-/readiness"

// entry is how people reach GitLab.
type entry struct {
	url     string
	sshHost string // "" when it is the web's
	web     elb.ApplicationLoadBalancer
	targets elb.ApplicationTargetGroup
	private elb.ApplicationTargetGroup // of the second load balancer, or nil
	kind    elb.TargetType
	// certificate is the ARN of the host name's certificate, "" without TLS.
	certificate string
	ssh         elb.NetworkTargetGroup // nil without Git over SSH
	zone        awsroute53.IHostedZone // nil when DNS is somebody else's
}

func (g *GitLab) addEntry() entry {
	var e entry
	if g.s.Entry.HostedZone != "" {
		e.zone = awsroute53.HostedZone_FromHostedZoneAttributes(g.stack, jsii.String("Zone"), &awsroute53.HostedZoneAttributes{
			HostedZoneId: &g.s.Entry.HostedZone, ZoneName: &g.s.Entry.ZoneName,
		})
	}
	inFront := g.s.Entry.SSH == "in-front"
	internetFacing := g.s.Entry.Scheme == "internet-facing"
	subnets := g.network.edge()
	if inFront {
		subnets = g.network.privateSelection() // only the network load balancer meets the people
	}
	e.web = elb.NewApplicationLoadBalancer(g.stack, jsii.String("Web"), &elb.ApplicationLoadBalancerProps{
		Vpc: g.network.VPC, VpcSubnets: subnets, InternetFacing: jsii.Bool(internetFacing && !inFront),
		SecurityGroup: g.network.Groups[access.Entry], IdleTimeout: awscdk.Duration_Seconds(jsii.Number(g.s.Entry.Idle)),
		DropInvalidHeaderFields: jsii.Bool(true), DeletionProtection: jsii.Bool(g.s.Data == "retain"), DesyncMitigationMode: elb.DesyncMitigationMode_DEFENSIVE,
	})
	e.web.LogAccessLogs(g.accessLogs, jsii.String("web"))
	e.kind = elb.TargetType_INSTANCE
	if g.s.GitLab.Compute == "fargate" {
		e.kind = elb.TargetType_IP
	}
	e.targets = g.webTargets("WebTargets", e)
	e.certificate = g.certificate(e)
	g.addListener(e)
	if g.s.Entry.Private {
		e.private = g.addPrivate(e)
	}
	if g.s.Entry.WebACL != "" {
		awswafv2.NewCfnWebACLAssociation(g.stack, jsii.String("WebAcl"), &awswafv2.CfnWebACLAssociationProps{ResourceArn: e.web.LoadBalancerArn(), WebAclArn: &g.s.Entry.WebACL})
	}
	front := awsroute53.IAliasRecordTarget(awsroute53targets.NewLoadBalancerTarget(e.web, nil))
	host := *e.web.LoadBalancerDnsName()
	if g.s.Entry.SSH != "none" {
		nlb := g.addSSH(&e)
		e.sshHost = *nlb.LoadBalancerDnsName()
		if inFront {
			front, host, e.sshHost = awsroute53targets.NewLoadBalancerTarget(nlb, nil), e.sshHost, ""
		} else {
			g.output("SshHost", e.sshHost, "Host name of Git over SSH, which GitLab shows as the address to clone from")
		}
	}
	e.url = "http://" + host
	if !g.s.Entry.PlainHTTP {
		e.url = "https://" + g.s.Entry.Domain
	}
	if e.zone != nil {
		awsroute53.NewARecord(g.stack, jsii.String("Record"), &awsroute53.ARecordProps{
			Zone: e.zone, RecordName: jsii.String(g.s.Entry.Domain + "."), Target: awsroute53.RecordTarget_FromAlias(front),
		})
	} else if g.s.Entry.Domain != "" {
		g.output("DnsTarget", host, "Next: point "+g.s.Entry.Domain+" to this name (CNAME)")
	}
	return e
}

func healthCheck(protocol elb.Protocol) *elb.HealthCheck {
	return &elb.HealthCheck{
		Path: jsii.String(readiness), Protocol: protocol, Port: jsii.String("80"), Interval: awscdk.Duration_Seconds(jsii.Number(30)),
		Timeout: awscdk.Duration_Seconds(jsii.Number(10)), HealthyThresholdCount: jsii.Number(2), UnhealthyThresholdCount: jsii.Number(5), HealthyHttpCodes: jsii.String("200"),
	}
}

// addListener ends TLS at the load balancer, and sends plain HTTP there.
func (g *GitLab) addListener(e entry) {
	if g.s.Entry.PlainHTTP {
		e.web.AddListener(jsii.String("Http"), &elb.BaseApplicationListenerProps{
			Port: jsii.Number(80), Protocol: elb.ApplicationProtocol_HTTP, Open: jsii.Bool(false),
			DefaultAction: elb.ListenerAction_Forward(&[]elb.IApplicationTargetGroup{e.targets}, nil),
		})
		return
	}
	g.addHTTPS(e, e.web, e.targets)
	if g.s.Entry.SSH == "in-front" {
		return // the network load balancer has no port 80 to redirect
	}
	e.web.AddListener(jsii.String("Redirect"), &elb.BaseApplicationListenerProps{
		Port: jsii.Number(80), Protocol: elb.ApplicationProtocol_HTTP, Open: jsii.Bool(false),
		DefaultAction: elb.ListenerAction_Redirect(&elb.RedirectOptions{Protocol: jsii.String("HTTPS"), Port: jsii.String("443"), Permanent: jsii.Bool(true)}),
	})
}

// addHTTPS ends TLS 1.2 and 1.3, with forward secrecy.
func (g *GitLab) addHTTPS(e entry, balancer elb.ApplicationLoadBalancer, to elb.ApplicationTargetGroup) {
	balancer.AddListener(jsii.String("Https"), &elb.BaseApplicationListenerProps{
		Port: jsii.Number(443), Protocol: elb.ApplicationProtocol_HTTPS, Open: jsii.Bool(false),
		SslPolicy:     elb.SslPolicy_RECOMMENDED_TLS,
		Certificates:  &[]elb.IListenerCertificate{elb.ListenerCertificate_FromArn(&e.certificate)},
		DefaultAction: elb.ListenerAction_Forward(&[]elb.IApplicationTargetGroup{to}, nil),
	})
}

// certificate is the operator's, or a new one validated by DNS.
func (g *GitLab) certificate(e entry) string {
	if g.s.Entry.PlainHTTP || g.s.Entry.Certificate != "" {
		return g.s.Entry.Certificate
	}
	return *awscertificatemanager.NewCertificate(g.stack, jsii.String("Certificate"), &awscertificatemanager.CertificateProps{
		DomainName: &g.s.Entry.Domain, Validation: awscertificatemanager.CertificateValidation_FromDns(e.zone),
	}).CertificateArn()
}

func (g *GitLab) webTargets(id string, e entry) elb.ApplicationTargetGroup {
	return elb.NewApplicationTargetGroup(g.stack, &id, &elb.ApplicationTargetGroupProps{
		Vpc: g.network.VPC, TargetType: e.kind, Port: jsii.Number(80), Protocol: elb.ApplicationProtocol_HTTP,
		DeregistrationDelay: awscdk.Duration_Seconds(jsii.Number(30)), HealthCheck: healthCheck(elb.Protocol_HTTP),
	})
}

// addSSH makes the network load balancer: an application load balancer cannot
// carry SSH.
func (g *GitLab) addSSH(e *entry) elb.NetworkLoadBalancer {
	nlb := elb.NewNetworkLoadBalancer(g.stack, jsii.String("Ssh"), &elb.NetworkLoadBalancerProps{
		Vpc: g.network.VPC, VpcSubnets: g.network.edge(), InternetFacing: jsii.Bool(g.s.Entry.Scheme == "internet-facing"), CrossZoneEnabled: jsii.Bool(true),
		SecurityGroups: &[]awsec2.ISecurityGroup{g.network.Groups[access.SSHEntry]}, DeletionProtection: jsii.Bool(g.s.Data == "retain"),
	})
	e.ssh = elb.NewNetworkTargetGroup(g.stack, jsii.String("SshTargets"), &elb.NetworkTargetGroupProps{
		Vpc: g.network.VPC, TargetType: e.kind, Port: jsii.Number(22), Protocol: elb.Protocol_TCP, HealthCheck: healthCheck(elb.Protocol_HTTP),
		DeregistrationDelay: awscdk.Duration_Seconds(jsii.Number(30)),
	})
	nlb.AddListener(jsii.String("Git"), &elb.BaseNetworkListenerProps{
		Port: jsii.Number(22), Protocol: elb.Protocol_TCP, DefaultAction: elb.NetworkListenerAction_Forward(&[]elb.INetworkTargetGroup{e.ssh}, nil),
	})
	if g.s.Entry.SSH == "in-front" {
		port := jsii.Number(access.EntryPort(g.s))
		protocol := elb.Protocol_HTTPS
		if g.s.Entry.PlainHTTP {
			protocol = elb.Protocol_HTTP
		}
		listener := (*e.web.Listeners())[0]
		through := elb.NewNetworkTargetGroup(g.stack, jsii.String("WebBehindSsh"), &elb.NetworkTargetGroupProps{
			Vpc: g.network.VPC, TargetType: elb.TargetType_ALB, Port: port, Protocol: elb.Protocol_TCP,
			Targets:     &[]elb.INetworkLoadBalancerTarget{targets.NewAlbListenerTarget(listener)},
			HealthCheck: &elb.HealthCheck{Path: jsii.String(readiness), Protocol: protocol, HealthyHttpCodes: jsii.String("200")},
		})
		nlb.AddListener(jsii.String("WebInFront"), &elb.BaseNetworkListenerProps{
			Port: port, Protocol: elb.Protocol_TCP, DefaultAction: elb.NetworkListenerAction_Forward(&[]elb.INetworkTargetGroup{through}, nil),
		})
	}
	// Written for TLS listeners alone, of which there is none: SSH ends at
	// GitLab, which keeps its own log. On all the same for those to come.
	nlb.LogAccessLogs(g.accessLogs, jsii.String("ssh"))
	return nlb
}
