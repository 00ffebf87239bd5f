package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
)

// Network is the VPC, and what the other stacks share: the key, the topic of
// alarms, and every security group.
type Network struct {
	part
	VPC    awsec2.IVpc
	Key    awskms.Key // nil with keys that AWS manages
	Topic  awssns.Topic
	Groups map[access.Group]awsec2.SecurityGroup
}

func newNetwork(app awscdk.App, in Inputs) *Network {
	n := &Network{
		part:   newPart(app, in, "Network", "VPC, endpoints, security groups, key and alarm topic"),
		Groups: map[access.Group]awsec2.SecurityGroup{},
	}
	n.addKey()
	n.addTopic()
	n.addGitLabRepository()
	var natAddresses []string
	if n.s.Network.VPC != "" {
		n.useVPC()
	} else {
		natAddresses = n.addVPC()
		n.addEndpoints()
	}
	n.addFirewall(natAddresses)
	for i, address := range natAddresses {
		n.output(fmt.Sprintf("NatAddress%d", i+1), address, "Address by which jobs reach the internet, for other people's allow-lists")
	}
	return n
}

// addKey makes the key of everything at rest.
func (n *Network) addKey() {
	if !n.s.CustomerKey {
		return
	}
	n.Key = awskms.NewKey(n.stack, jsii.String("Key"), &awskms.KeyProps{
		Alias: jsii.String("alias/" + n.s.Name), Description: jsii.String("data of " + n.s.Name),
		EnableKeyRotation: jsii.Bool(true), RemovalPolicy: n.keep(),
	})
	n.Key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:     jsii.String("Logs"),
		Actions: list("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:DescribeKey"), Resources: list("*"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("logs."+n.s.Region+".amazonaws.com"), nil)},
		Conditions: &map[string]any{"ArnLike": map[string]any{
			"kms:EncryptionContext:aws:logs:arn": []string{n.logGroupARN("*"), n.place.ARN("logs", "log-group:/aws/events/"+n.s.Name+"-*")},
		}},
	}), nil)
	n.Key.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:     jsii.String("Alarms"),
		Actions: list("kms:Decrypt", "kms:GenerateDataKey"), Resources: list("*"),
		Principals: alarmService(), Conditions: n.ownAlarms(),
	}), nil)
}

func alarmService() *[]awsiam.IPrincipal {
	return &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)}
}

// ownAlarms keeps CloudWatch from acting here for other alarms than those of
// this deployment.
func (p part) ownAlarms() *map[string]any {
	return &map[string]any{
		"StringEquals": map[string]string{"aws:SourceAccount": p.place.Account},
		"ArnLike":      map[string]string{"aws:SourceArn": p.place.ARN("cloudwatch", "alarm:"+p.name("*"))},
	}
}

func (n *Network) addTopic() {
	props := &awssns.TopicProps{TopicName: jsii.String(n.name("alarms")), EnforceSSL: jsii.Bool(true)}
	if n.Key != nil {
		props.MasterKey = n.Key
	}
	n.Topic = awssns.NewTopic(n.stack, jsii.String("Alarms"), props)
	// The policy that enforces TLS replaces SNS's own, which lets alarms in.
	n.Topic.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid: jsii.String("Alarms"), Actions: list("sns:Publish"), Resources: list(*n.Topic.TopicArn()),
		Principals: alarmService(), Conditions: n.ownAlarms(),
	}))
	if n.s.AlarmEmail != "" {
		n.Topic.AddSubscription(awssnssubscriptions.NewEmailSubscription(&n.s.AlarmEmail, nil))
	}
	n.output("AlarmTopic", *n.Topic.TopicArn(), "Topic that alarms are sent to")
}

// useVPC takes the VPC that the settings name.
func (n *Network) useVPC() {
	attributes := &awsec2.VpcAttributes{
		VpcId: &n.s.Network.VPC, VpcCidrBlock: &n.s.Network.CIDR,
		AvailabilityZones: list(n.s.Network.AvailabilityZones...),
		PrivateSubnetIds:  list(n.s.Network.PrivateSubnets...),
	}
	if len(n.s.Network.PublicSubnets) > 0 {
		attributes.PublicSubnetIds = list(n.s.Network.PublicSubnets...)
	}
	n.VPC = awsec2.Vpc_FromVpcAttributes(n.stack, jsii.String("Vpc"), attributes)
}

// private are the subnets of everything but internet-facing load balancers.
func (n *Network) private() []awsec2.ISubnet {
	if n.s.Network.VPC == "" && n.s.Network.Egress == "none" {
		return *n.VPC.IsolatedSubnets()
	}
	return *n.VPC.PrivateSubnets()
}

func (n *Network) privateSelection() *awsec2.SubnetSelection {
	subnets := n.private()
	return &awsec2.SubnetSelection{Subnets: &subnets}
}

func (n *Network) privateIDs() []string {
	var ids []string
	for _, s := range n.private() {
		ids = append(ids, *s.SubnetId())
	}
	return ids
}

// zone is where a subnet is. A new one is asked itself: the list of zones that
// CloudFormation gives may have another order one day, in a stack that is
// updated alone, and a disk would be made anew, in a zone without its host.
func (n *Network) zone(subnet awsec2.ISubnet) *string {
	if n.s.Network.VPC != "" {
		return subnet.AvailabilityZone()
	}
	return subnet.Node().DefaultChild().(awsec2.CfnSubnet).AttrAvailabilityZone()
}

// edge are the subnets of load balancers.
func (n *Network) edge() *awsec2.SubnetSelection {
	if n.s.Entry.Scheme == "internet-facing" {
		return &awsec2.SubnetSelection{SubnetType: awsec2.SubnetType_PUBLIC}
	}
	return n.privateSelection()
}

// addFirewall makes the security groups and their rules.
func (n *Network) addFirewall(natAddresses []string) {
	rules := access.Firewall(n.s, natAddresses)
	for _, r := range rules {
		for _, end := range []string{r.From, r.To} {
			n.addGroup(end)
		}
	}
	for _, r := range rules {
		port := awsec2.Port_Tcp(jsii.Number(r.Port))
		if !access.IsRange(r.To) {
			n.Groups[access.Group(r.To)].AddIngressRule(n.peer(r.From), port, &r.Why, jsii.Bool(false))
		}
		if !access.IsRange(r.From) {
			n.Groups[access.Group(r.From)].AddEgressRule(n.peer(r.To), port, &r.Why, jsii.Bool(false))
		}
	}
}

func (n *Network) addGroup(end string) {
	g := access.Group(end)
	if access.IsRange(end) || n.Groups[g] != nil {
		return
	}
	n.Groups[g] = awsec2.NewSecurityGroup(n.stack, jsii.String("Group-"+end), &awsec2.SecurityGroupProps{
		Vpc: n.VPC, Description: jsii.String(n.name(end)), SecurityGroupName: jsii.String(n.name(end)), AllowAllOutbound: jsii.Bool(false),
	})
	awscdk.Tags_Of(n.Groups[g]).Add(jsii.String("Name"), jsii.String(n.name(end)), nil)
}

func (n *Network) peer(end string) awsec2.IPeer {
	if access.IsRange(end) {
		return awsec2.Peer_Ipv4(&end)
	}
	return n.Groups[access.Group(end)]
}

func (n *Network) groupID(g access.Group) string { return *n.Groups[g].SecurityGroupId() }
