package stacks_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestExampleUsesTheComponent holds the pipeline of examples/ to what it names:
// inputs that the component has, and Dockerfiles and programs that are there.
func TestExampleUsesTheComponent(t *testing.T) {
	t.Parallel()
	read := func(file string) string {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	example := read("../examples/images.gitlab-ci.yml")
	spec, _, found := strings.Cut(read("../../../templates/docker-build.yml"), "\n---\n")
	if !found {
		t.Fatal("the component has no spec")
	}
	inputs := regexp.MustCompile(`(?m)^      ([a-z-]+): (\S+)`).FindAllStringSubmatch(example, -1)
	if len(inputs) < 10 {
		t.Fatalf("only %d inputs were seen", len(inputs))
	}
	for _, input := range inputs {
		if input[1] == "changes" {
			continue // of a rule
		}
		if !strings.Contains(spec, "\n    "+input[1]+":\n") {
			t.Errorf("the component has no input %s", input[1])
		}
		if input[1] != "dockerfile" {
			continue
		}
		if text := read("../../../" + input[2]); strings.Contains(input[2], "/build/") && !strings.Contains(text, "ARG COORDINATOR=") {
			t.Errorf("%s has no build argument COORDINATOR", input[2])
		}
	}
}
