package awsquery

import (
	"context"
	"fmt"
	"net/url"
)

// PublicIP returns the public IPv4 address of a network interface, or "".
func (c *Client) PublicIP(ctx context.Context, eni string) (string, error) {
	var out struct {
		Interfaces []struct {
			PublicIP string `xml:"association>publicIp"`
		} `xml:"networkInterfaceSet>item"`
	}
	if err := c.call(ctx, c.ec2(), "DescribeNetworkInterfaces", list("NetworkInterfaceId", []string{eni}), &out); err != nil {
		return "", err
	}
	if len(out.Interfaces) == 0 {
		return "", nil
	}
	return out.Interfaces[0].PublicIP, nil
}

// Subnet is what a launch needs to know of a subnet.
type Subnet struct {
	ID               string `xml:"subnetId"`
	VPC              string `xml:"vpcId"`
	AvailabilityZone string `xml:"availabilityZone"`
	FreeAddresses    int    `xml:"availableIpAddressCount"`
}

// Subnets returns the subnets of these ids; an unknown one is an error.
func (c *Client) Subnets(ctx context.Context, ids []string) ([]Subnet, error) {
	var out struct {
		Subnets []Subnet `xml:"subnetSet>item"`
	}
	err := c.call(ctx, c.ec2(), "DescribeSubnets", list("SubnetId", ids), &out)
	return out.Subnets, err
}

// SecurityGroup is a security group and the VPC it is of.
type SecurityGroup struct {
	ID  string `xml:"groupId"`
	VPC string `xml:"vpcId"`
}

// SecurityGroups returns the groups of these ids; an unknown one is an error.
func (c *Client) SecurityGroups(ctx context.Context, ids []string) ([]SecurityGroup, error) {
	var out struct {
		Groups []SecurityGroup `xml:"securityGroupInfo>item"`
	}
	err := c.call(ctx, c.ec2(), "DescribeSecurityGroups", list("GroupId", ids), &out)
	return out.Groups, err
}

// RoleTrust returns the trust policy of an IAM role as JSON.
func (c *Client) RoleTrust(ctx context.Context, name string) (string, error) {
	var out struct {
		Document string `xml:"GetRoleResult>Role>AssumeRolePolicyDocument"`
	}
	if err := c.call(ctx, c.iam(), "GetRole", url.Values{"RoleName": {name}}, &out); err != nil {
		return "", err
	}
	return url.QueryUnescape(out.Document) // IAM answers it URL-encoded
}

func list(name string, values []string) url.Values {
	v := url.Values{}
	for i, value := range values {
		v.Set(fmt.Sprintf("%s.%d", name, i+1), value)
	}
	return v
}
