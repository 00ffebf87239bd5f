package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

var update = flag.Bool("update", false, "rewrite the golden tables")

// golden lays out the pinned templates of a profile as the CDK app does.
func golden(t *testing.T, profile string) string {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob("../stacks/testdata/golden/" + profile + "-*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d templates of %s: %v", len(files), profile, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		stack := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), profile+"-"), ".json")
		if err := os.WriteFile(filepath.Join(dir, stack+".template.json"), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestShow(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"small", "team", "closed"} {
		var got bytes.Buffer
		if err := run([]string{golden(t, profile)}, &got); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", profile+".txt")
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is out of date: look at the difference after go test ./show -update", file)
		}
	}
}

// TestCostPage holds the counts of docs/cost.md to the templates.
func TestCostPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/cost.md")
	if err != nil {
		t.Fatal(err)
	}
	small := "| secrets, alarms, dashboard |"
	for _, profile := range []string{"small", "team", "closed"} {
		d, err := template.Read(golden(t, profile))
		if err != nil {
			t.Fatal(err)
		}
		count := func(kind string) int { return len(d.Of(kind)) }
		small += fmt.Sprintf(" %d, %d, %d |", count("AWS::SecretsManager::Secret"), count("AWS::CloudWatch::Alarm"), count("AWS::CloudWatch::Dashboard"))
		endpoints := count("AWS::EC2::VPCEndpoint") - 1 // S3's costs nothing
		if want := fmt.Sprintf("%d, in 2 zones each: %d |", endpoints, 2*endpoints); profile == "closed" && !strings.Contains(string(page), want) {
			t.Errorf("docs/cost.md lacks %s", want)
		}
	}
	if !strings.Contains(string(page), small+" month |") {
		t.Errorf("docs/cost.md lacks %s", small)
	}
}

func TestNothingToShow(t *testing.T) {
	t.Parallel()
	if err := run([]string{t.TempDir()}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "make synth") {
		t.Errorf("got %v", err)
	}
	if err := run(nil, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "usage") {
		t.Errorf("got %v", err)
	}
}
