package localaws

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
)

// The stand-in's one VPC: three subnets, in three availability zones, and two
// security groups. Others are refused as AWS refuses them, unless Options names
// them.
const (
	VPC            = "vpc-0a1b2c3d4e5f60001"
	SubnetA        = "subnet-0a1b2c3d4e5f6000a"
	SubnetB        = "subnet-0a1b2c3d4e5f6000b"
	SubnetC        = "subnet-0a1b2c3d4e5f6000c"
	SecurityGroup  = "sg-0a1b2c3d4e5f60001"
	SecurityGroup2 = "sg-0a1b2c3d4e5f60002"
)

// vpc is what there is of EC2. It never changes.
type vpc struct {
	region  string
	subnets []string
	groups  []string
}

func newVPC(o Options) *vpc {
	v := &vpc{region: o.Region, subnets: o.Subnets, groups: o.SecurityGroups}
	if len(v.subnets) == 0 {
		v.subnets = []string{SubnetA, SubnetB, SubnetC}
	}
	if len(v.groups) == 0 {
		v.groups = []string{SecurityGroup, SecurityGroup2}
	}
	return v
}

func (v *vpc) missingSubnet(ids []string) string { return firstNotIn(v.subnets, ids) }
func (v *vpc) missingGroup(ids []string) string  { return firstNotIn(v.groups, ids) }

func firstNotIn(known, ids []string) string {
	for _, id := range ids {
		if !slices.Contains(known, id) {
			return id
		}
	}
	return ""
}

// zone is the availability zone of a subnet: a, b, c by its place in the list.
func (v *vpc) zone(subnet string) string {
	return v.region + string(rune('a'+slices.Index(v.subnets, subnet)%3))
}

func addEC2(s *Server) error {
	for name, do := range map[string]func(context.Context, url.Values) (any, error){
		"DescribeSubnets":           s.describeSubnets,
		"DescribeSecurityGroups":    s.describeSecurityGroups,
		"DescribeNetworkInterfaces": s.describeNetworkInterfaces,
	} {
		s.addQuery(name, queryOperation{"ec2", ec2Protocol, do})
	}
	return nil
}

// ids returns the values of a list parameter: SubnetId.1, SubnetId.2, ...
func ids(form url.Values, name string) []string {
	var all []string
	for i := 1; form.Has(fmt.Sprintf("%s.%d", name, i)); i++ {
		all = append(all, form.Get(fmt.Sprintf("%s.%d", name, i)))
	}
	return all
}

// onlyParameters refuses parameters that the stand-in does not act upon: a
// filter that filters nothing would look like a success.
func onlyParameters(form url.Values, list string) error {
	for name := range form {
		if name == "Action" || name == "Version" || name == "MaxResults" {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(name, list+".%d", &n); err != nil {
			return refuse("UnknownParameter", "The parameter %s is not recognized", name)
		}
	}
	return nil
}

func (s *Server) describeSubnets(_ context.Context, form url.Values) (any, error) {
	if err := onlyParameters(form, "SubnetId"); err != nil {
		return nil, err
	}
	wanted := ids(form, "SubnetId")
	if missing := s.vpc.missingSubnet(wanted); missing != "" {
		return nil, refuse("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", missing)
	}
	type subnet struct {
		SubnetID                string `xml:"subnetId"`
		SubnetArn               string `xml:"subnetArn"`
		State                   string `xml:"state"`
		VpcID                   string `xml:"vpcId"`
		CidrBlock               string `xml:"cidrBlock"`
		AvailableIPAddressCount int    `xml:"availableIpAddressCount"`
		AvailabilityZone        string `xml:"availabilityZone"`
		MapPublicIPOnLaunch     bool   `xml:"mapPublicIpOnLaunch"`
		OwnerID                 string `xml:"ownerId"`
	}
	out := struct {
		XMLName   xml.Name `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeSubnetsResponse"`
		RequestID string   `xml:"requestId"`
		Subnets   []subnet `xml:"subnetSet>item"`
	}{RequestID: requestID()}
	for _, id := range s.vpc.subnets {
		if len(wanted) == 0 || slices.Contains(wanted, id) {
			out.Subnets = append(out.Subnets, subnet{
				id, fmt.Sprintf("arn:aws:ec2:%s:%s:subnet/%s", s.opts.Region, Account, id),
				"available", VPC, "127.77.0.0/16", 65000, s.vpc.zone(id), false, Account,
			})
		}
	}
	return out, nil
}

func (s *Server) describeSecurityGroups(_ context.Context, form url.Values) (any, error) {
	if err := onlyParameters(form, "GroupId"); err != nil {
		return nil, err
	}
	wanted := ids(form, "GroupId")
	if missing := s.vpc.missingGroup(wanted); missing != "" {
		return nil, refuse("InvalidGroup.NotFound", "The security group '%s' does not exist", missing)
	}
	type permission struct {
		Protocol string `xml:"ipProtocol"`
		From     int    `xml:"fromPort,omitempty"`
		To       int    `xml:"toPort,omitempty"`
		Range    string `xml:"ipRanges>item>cidrIp"`
	}
	type group struct {
		OwnerID     string       `xml:"ownerId"`
		GroupID     string       `xml:"groupId"`
		GroupName   string       `xml:"groupName"`
		Description string       `xml:"groupDescription"`
		VpcID       string       `xml:"vpcId"`
		Ingress     []permission `xml:"ipPermissions>item"`
		Egress      []permission `xml:"ipPermissionsEgress>item"`
	}
	out := struct {
		XMLName   xml.Name `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeSecurityGroupsResponse"`
		RequestID string   `xml:"requestId"`
		Groups    []group  `xml:"securityGroupInfo>item"`
	}{RequestID: requestID()}
	for _, id := range s.vpc.groups {
		if len(wanted) == 0 || slices.Contains(wanted, id) {
			out.Groups = append(out.Groups, group{
				Account, id, "localaws-" + id, "of the stand-in: it filters nothing", VPC,
				[]permission{{"tcp", 22, 22, "127.0.0.0/8"}}, []permission{{Protocol: "-1", Range: "0.0.0.0/0"}},
			})
		}
	}
	return out, nil
}

// describeNetworkInterfaces knows the interfaces of tasks. A public address is
// the private one: the stand-in has only this machine's loopback.
func (s *Server) describeNetworkInterfaces(_ context.Context, form url.Values) (any, error) {
	if err := onlyParameters(form, "NetworkInterfaceId"); err != nil {
		return nil, err
	}
	type association struct {
		PublicIP      string `xml:"publicIp"`
		PublicDNSName string `xml:"publicDnsName"`
		IPOwnerID     string `xml:"ipOwnerId"`
	}
	type eni struct {
		ID               string       `xml:"networkInterfaceId"`
		SubnetID         string       `xml:"subnetId"`
		VpcID            string       `xml:"vpcId"`
		AvailabilityZone string       `xml:"availabilityZone"`
		Status           string       `xml:"status"`
		PrivateIPAddress string       `xml:"privateIpAddress"`
		Association      *association `xml:"association"`
	}
	out := struct {
		XMLName    xml.Name `xml:"http://ec2.amazonaws.com/doc/2016-11-15/ DescribeNetworkInterfacesResponse"`
		RequestID  string   `xml:"requestId"`
		Interfaces []eni    `xml:"networkInterfaceSet>item"`
	}{RequestID: requestID()}
	wanted := ids(form, "NetworkInterfaceId")
	e := s.ecs
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []string
	for _, t := range e.order {
		if t.address == "" || t.phase == stopped || len(wanted) > 0 && !slices.Contains(wanted, t.eni) {
			continue
		}
		found = append(found, t.eni)
		i := eni{t.eni, t.subnet, VPC, s.vpc.zone(t.subnet), "in-use", t.address, nil}
		if t.publicIP {
			i.Association = &association{t.address, "", "amazon"}
		}
		out.Interfaces = append(out.Interfaces, i)
	}
	if missing := firstNotIn(found, wanted); missing != "" {
		return nil, refuse("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '%s' does not exist", missing)
	}
	return out, nil
}
