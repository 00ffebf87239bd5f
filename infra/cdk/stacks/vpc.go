package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
)

// natType is the size of the NAT instance: the smallest that AWS has with
// arm64 and 5 Gbit/s bursts.
const natType = "t4g.nano"

// addVPC makes the VPC and returns the addresses by which it leaves.
func (n *Network) addVPC() []string {
	private := awsec2.SubnetType_PRIVATE_WITH_EGRESS
	if n.s.Network.Egress == "none" {
		private = awsec2.SubnetType_PRIVATE_ISOLATED
	}
	subnets := []*awsec2.SubnetConfiguration{{Name: jsii.String("Private"), SubnetType: private, CidrMask: jsii.Number(n.s.Network.SubnetBits())}}
	if n.s.Network.Egress != "none" {
		subnets = append([]*awsec2.SubnetConfiguration{{
			Name: jsii.String("Public"), SubnetType: awsec2.SubnetType_PUBLIC, CidrMask: jsii.Number(26), MapPublicIpOnLaunch: jsii.Bool(false),
		}}, subnets...)
	}
	props := &awsec2.VpcProps{
		IpAddresses:                  awsec2.IpAddresses_Cidr(&n.s.Network.CIDR),
		NatGateways:                  jsii.Number(0),
		SubnetConfiguration:          &subnets,
		RestrictDefaultSecurityGroup: jsii.Bool(false), // needs a Lambda; nothing is in that group
		GatewayEndpoints: &map[string]*awsec2.GatewayVpcEndpointOptions{
			"S3": {Service: awsec2.GatewayVpcEndpointAwsService_S3()},
		},
	}
	if zones := n.s.Network.AvailabilityZones; len(zones) > 0 {
		props.AvailabilityZones = list(zones...)
	} else {
		props.MaxAzs = jsii.Number(2)
	}
	var addresses, allocations []string
	if n.s.Network.Egress != "none" {
		count := 1
		if n.s.Network.Egress == "nat-gateway" {
			count = 2 // one for each zone: a zone's failure must not stop the other's jobs
		}
		for i := range count {
			eip := awsec2.NewCfnEIP(n.stack, jsii.String(fmt.Sprintf("NatAddress%d-Eip", i+1)), &awsec2.CfnEIPProps{
				Domain: jsii.String("vpc"),
				Tags:   &[]*awscdk.CfnTag{{Key: jsii.String("Name"), Value: jsii.String(n.name("nat"))}},
			})
			addresses = append(addresses, *eip.AttrPublicIp())
			allocations = append(allocations, *eip.AttrAllocationId())
		}
		props.NatGateways = jsii.Number(count)
	}
	if n.s.Network.Egress == "nat-gateway" {
		props.NatGatewayProvider = awsec2.NatProvider_Gateway(&awsec2.NatGatewayProps{EipAllocationIds: list(allocations...)})
	}
	var nat awsec2.NatInstanceProviderV2
	if n.s.Network.Egress == "nat-instance" {
		nat = awsec2.NatProvider_InstanceV2(&awsec2.NatInstanceProps{
			InstanceType: awsec2.NewInstanceType(jsii.String(natType)), DefaultAllowedTraffic: awsec2.NatTrafficDirection_NONE,
			// CDK's own script fails when it runs before the address is there.
			UserData: awsec2.UserData_Custom(jsii.String(render.NATUserData(n.s, ""))),
		})
		props.NatGatewayProvider = nat
	}
	vpc := awsec2.NewVpc(n.stack, jsii.String("Vpc"), props)
	n.VPC = vpc
	if nat != nil {
		n.hardenNAT(vpc, nat, allocations[0])
	}
	if n.s.Network.FlowLogs {
		n.addFlowLogs(vpc)
	}
	return addresses
}

// hardenNAT gives the NAT instance its fixed address, opens exactly the ports
// that may leave, and sets what CDK's construct leaves at its default.
func (n *Network) hardenNAT(vpc awsec2.Vpc, nat awsec2.NatInstanceProviderV2, allocation string) {
	cidr := awsec2.Peer_Ipv4(&n.s.Network.CIDR)
	for _, port := range n.s.Network.OutPorts {
		why := jsii.String(fmt.Sprintf("network.out_ports has %d", port))
		nat.SecurityGroup().AddIngressRule(cidr, awsec2.Port_Tcp(jsii.Number(port)), why, nil)
		nat.SecurityGroup().AddEgressRule(awsec2.Peer_Ipv4(jsii.String(access.World)), awsec2.Port_Tcp(jsii.Number(port)), why, nil)
	}
	instance := (*nat.GatewayInstances())[0]
	resource := instance.Node().DefaultChild().(awsec2.CfnInstance)
	resource.SetMetadataOptions(&awsec2.CfnInstance_MetadataOptionsProperty{HttpTokens: jsii.String("required"), HttpPutResponseHopLimit: jsii.Number(1)})
	resource.SetBlockDeviceMappings(&[]any{&awsec2.CfnInstance_BlockDeviceMappingProperty{
		DeviceName: jsii.String("/dev/xvda"),
		Ebs:        &awsec2.CfnInstance_EbsProperty{Encrypted: jsii.Bool(true), VolumeType: jsii.String("gp3"), VolumeSize: jsii.Number(8)},
	}})
	// EC2 refuses an address in a VPC that has no internet gateway yet.
	awsec2.NewCfnEIPAssociation(n.stack, jsii.String("NatAddress"), &awsec2.CfnEIPAssociationProps{
		AllocationId: &allocation, InstanceId: instance.InstanceId(),
	}).Node().AddDependency((*vpc.PublicSubnets())[0].InternetConnectivityEstablished())
}

// addFlowLogs records what security groups turned away.
func (n *Network) addFlowLogs(vpc awsec2.Vpc) {
	group := n.logGroup("FlowLogGroup", "rejected-connections", n.Key)
	role := n.role("FlowLogRole", access.FlowLogRole(n.logGroupARN("rejected-connections")))
	awsec2.NewCfnFlowLog(n.stack, jsii.String("FlowLog"), &awsec2.CfnFlowLogProps{
		ResourceType: jsii.String("VPC"), ResourceId: vpc.VpcId(), TrafficType: jsii.String("REJECT"),
		LogDestinationType: jsii.String("cloud-watch-logs"), LogGroupName: group.Ref(), DeliverLogsPermissionArn: role.AttrArn(),
	})
}

// addEndpoints makes the interface endpoints behind one security group; CDK
// would make one group for each.
func (n *Network) addEndpoints() {
	if len(n.s.Network.Endpoints) == 0 {
		return
	}
	n.addGroup(string(access.Endpoints))
	for _, name := range n.s.Network.Endpoints {
		n.VPC.AddInterfaceEndpoint(jsii.String("Endpoint-"+name), &awsec2.InterfaceVpcEndpointOptions{
			Service:           awsec2.NewInterfaceVpcEndpointAwsService(jsii.String(name), nil, nil, nil),
			PrivateDnsEnabled: jsii.Bool(true), Open: jsii.Bool(false),
			Subnets:        n.privateSelection(),
			SecurityGroups: &[]awsec2.ISecurityGroup{n.Groups[access.Endpoints]},
		})
	}
}

// image is the address by which EC2 finds the newest Amazon Linux 2023 as an
// instance starts, so that a host that is replaced is a patched host.
func image(instanceType string) string {
	arch := "x86_64"
	if render.IsARM(instanceType) {
		arch = "arm64"
	}
	return "resolve:ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-" + arch
}
