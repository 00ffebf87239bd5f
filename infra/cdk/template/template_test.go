package template

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// written lays out templates as the CDK app does.
func written(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for stack, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, stack+".template.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRead(t *testing.T) {
	t.Parallel()
	d, err := Read(written(t, map[string]string{
		"Runners": `{"Resources": {
			"B": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"SecurityGroupIngress": [{"CidrIp": "10.0.0.0/8"}]}},
			"A": {"Type": "AWS::IAM::Role", "DependsOn": ["B"], "Properties": {"Policies": [{"PolicyDocument": {"Statement": [{"Sid": "One"}, {"Sid": "Two"}]}}]}}}}`,
		"Network": `{"Resources": {"C": {"Type": "AWS::EC2::SecurityGroupIngress", "DeletionPolicy": "Retain", "Properties": {"GroupId": "sg-1"}}}}`,
	}))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range d.Resources {
		names = append(names, r.String())
	}
	if want := []string{"Network/C (AWS::EC2::SecurityGroupIngress)", "Runners/A (AWS::IAM::Role)", "Runners/B (AWS::EC2::SecurityGroup)"}; !reflect.DeepEqual(names, want) {
		t.Errorf("got %q", names)
	}
	if !reflect.DeepEqual(d.Stacks, []string{"Network", "Runners"}) || !strings.Contains(d.Texts["Network"], "sg-1") || d.Resources[0].DeletionPolicy != "Retain" {
		t.Errorf("got %+v", d)
	}
	if all := d.Statements(); len(all) != 2 || all[1].Body["Sid"] != "Two" || all[0].Role.ID != "A" {
		t.Errorf("statements: %v", all)
	}
	if all := d.Ingress(); len(all) != 2 || all[0].To != "B" || At(all[0].Rule, "CidrIp") != "10.0.0.0/8" || all[1].To != "sg-1" {
		t.Errorf("ingress: %v", all)
	}
	if got := At(d.Of("AWS::EC2::SecurityGroup")[0].Properties, "SecurityGroupIngress", 1, "CidrIp"); got != nil {
		t.Errorf("behind the end of a list: %v", got)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "run `make synth`", "{": "reading the template of Network"} {
		texts := map[string]string{}
		if text != "" {
			texts["Network"] = text
		}
		if _, err := Read(written(t, texts)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
