package localaws

import (
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// query calls an action of AWS Query and returns the status and the XML.
func query(t *testing.T, s *Server, action string, parameters ...string) (int, string) {
	t.Helper()
	form := url.Values{"Action": {action}, "Version": {"2016-11-15"}}
	for i := 0; i < len(parameters); i += 2 {
		form.Set(parameters[i], parameters[i+1])
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(body, new(struct{})); err != nil {
		t.Fatalf("no XML: %v: %s", err, body)
	}
	return resp.StatusCode, string(body)
}

func TestQueries(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Roles: []string{"ci-task"}, SecurityGroups: []string{"sg-1"}})
	for _, test := range []struct {
		call   []string
		status int
		want   []string
	}{
		{[]string{"DescribeSubnets"}, 200, []string{
			"<DescribeSubnetsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">",
			"<subnetId>" + SubnetA + "</subnetId>", "<availabilityZone>eu-central-1a</availabilityZone>", "<availabilityZone>eu-central-1c</availabilityZone>",
		}},
		{[]string{"DescribeSubnets", "SubnetId.1", SubnetB}, 200, []string{"<subnetSet><item><subnetId>" + SubnetB + "</subnetId>"}},
		{[]string{"DescribeSubnets", "SubnetId.1", "subnet-1"}, 400, []string{"<Response><Errors><Error><Code>InvalidSubnetID.NotFound</Code>"}},
		{[]string{"DescribeSubnets", "Filter.1.Name", "vpc-id"}, 400, []string{"<Code>UnknownParameter</Code>", "The parameter Filter.1.Name is not recognized"}},
		{[]string{"DescribeSecurityGroups", "GroupId.1", "sg-1"}, 200, []string{"<groupId>sg-1</groupId>", "<fromPort>22</fromPort>"}},
		{[]string{"DescribeSecurityGroups", "GroupId.1", SecurityGroup}, 400, []string{"<Code>InvalidGroup.NotFound</Code>"}},
		{[]string{"DescribeNetworkInterfaces", "NetworkInterfaceId.1", "eni-1"}, 400, []string{"<Code>InvalidNetworkInterfaceID.NotFound</Code>"}},
		{[]string{"GetRole", "RoleName", "ci-task"}, 200, []string{"<Arn>arn:aws:iam::123456789012:role/ci-task</Arn>", "ecs-tasks.amazonaws.com"}},
		{[]string{"GetRole", "RoleName", "nobody"}, 404, []string{"<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code>"}},
		{[]string{"TerminateInstances"}, 400, []string{"<Code>InvalidAction</Code>"}},
	} {
		status, body := query(t, s, test.call[0], test.call[1:]...)
		if status != test.status {
			t.Errorf("%v: status %d, want %d", test.call, status, test.status)
		}
		for _, want := range test.want {
			if !strings.Contains(body, want) {
				t.Errorf("%v: %q is not in %s", test.call, want, body)
			}
		}
	}
}

func TestPublicAddressOfATask(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	for _, public := range []bool{true, false} {
		in := jobInput()
		if public {
			in.NetworkConfiguration.AwsvpcConfiguration.AssignPublicIp = "ENABLED"
		}
		arn := run(t, c, in)
		until(t, s, arn, "RUNNING")
		eni := ""
		for _, d := range describe(t, c, arn).Attachments[0].Details {
			if *d.Name == "networkInterfaceId" {
				eni = *d.Value
			}
		}
		_, body := query(t, s, "DescribeNetworkInterfaces", "NetworkInterfaceId.1", eni)
		if got := strings.Contains(body, "<publicIp>"+s.Task(arn).Address+"</publicIp>"); got != public || !strings.Contains(body, "<privateIpAddress>"+s.Task(arn).Address) {
			t.Errorf("public %t: %s", public, body)
		}
	}
}

// The pairs of facts' section 4.3.
func TestSizes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cpu, memory string
		want        string // "" if Fargate has no such size
	}{
		{"256", "512", "256/512"}, {"256", "2048", "256/2048"}, {"256", "4096", ""}, {".25 vCPU", "0.5GB", "256/512"},
		{"512", "1024", "512/1024"}, {"512", "4096", "512/4096"}, {"512", "5120", ""},
		{"1 vCPU", "8 GB", "1024/8192"}, {"1024", "1024", ""}, {"2048", "16384", "2048/16384"}, {"2048", "16385", ""},
		{"4096", "30720", "4096/30720"}, {"4096", "31744", ""}, {"8192", "61440", "8192/61440"}, {"8192", "17408", ""},
		{"16384", "122880", "16384/122880"}, {"16384", "36864", ""}, {"32768", "249856", "32768/249856"}, {"32768", "62464", ""},
		{"300", "512", ""}, {"", "512", ""}, {"256", "lots", ""},
	} {
		cpu, memory, err := checkSize(test.cpu, test.memory)
		got := cpu + "/" + memory
		if err != nil {
			got = ""
		}
		if got != test.want {
			t.Errorf("%s, %s: got %q (%v), want %q", test.cpu, test.memory, got, err, test.want)
		}
	}
}
