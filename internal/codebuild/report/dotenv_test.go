package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
)

func TestDotenv(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "b.env")
	leftOut, err := Dotenv(path, []build.Variable{
		{Name: "A", Value: "plain"}, {Name: "EMPTY", Value: ""}, {Name: "LINES", Value: "a\nb"}, {Name: "SPACE", Value: " a"},
		{Name: "BAD-NAME", Value: "x"}, {Name: "BYTES", Value: "\xff"}, {Name: "BIG", Value: strings.Repeat("x", dotenvBytes)}, {Name: "EQUALS", Value: "a=b c"},
	}, DotenvVariables)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != "A=plain\nEQUALS=a=b c\n" {
		t.Errorf("got %q %v", got, err)
	}
	if len(leftOut) != 2 || !strings.Contains(leftOut[0], ": LINES, SPACE, BAD-NAME, BYTES (") || !strings.Contains(leftOut[1], ": BIG (") {
		t.Errorf("left out %q", leftOut)
	}
	if _, err := Dotenv(filepath.Join(t.TempDir(), "none", "b.env"), nil, 1); err == nil || !strings.Contains(err.Error(), "writing the report") {
		t.Errorf("got %v, want an error that names the report", err)
	}
}

// GitLab rejects a report of 21 variables, or of 5 KiB, as a whole.
func TestDotenvIsWithinWhatGitLabTakes(t *testing.T) {
	t.Parallel()
	b := build.Build{ID: "p:1", ARN: "arn", Status: build.Succeeded, Number: 3}
	for i := range 30 {
		b.Exported = append(b.Exported, build.Variable{Name: fmt.Sprintf("MINE_%d", i), Value: "v"})
	}
	b.Exported = append(b.Exported, build.Variable{Name: "CODEBUILD_BUILD_ID", Value: "another"})
	path := filepath.Join(t.TempDir(), "b.env")
	leftOut, err := Dotenv(path, Variables(b), DotenvVariables)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 20 || lines[0] != "CODEBUILD_BUILD_ID=p:1" || lines[1] != "CODEBUILD_BUILD_STATUS=SUCCEEDED" || lines[19] != "MINE_17=v" {
		t.Errorf("got %d lines: %q", len(lines), lines)
	}
	if len(leftOut) != 1 || !strings.Contains(leftOut[0], "MINE_18, ") || !strings.Contains(leftOut[0], "CODEBUILD_BUILD_ARN (it has 20 variables") {
		t.Errorf("left out %q", leftOut)
	}
	if leftOut, err := Dotenv(path, Variables(b), 50); err != nil || leftOut != nil {
		t.Errorf("with 50: left out %q, %v", leftOut, err)
	}

	// To the byte: 5,119 are taken, 5,120 are not.
	for size, fits := range map[int]bool{5<<10 - 1: true, 5 << 10: false} {
		leftOut, err := Dotenv(path, []build.Variable{{Name: "A", Value: strings.Repeat("x", size-len("A=\n"))}}, 20)
		if err != nil || (leftOut == nil) != fits {
			t.Errorf("%d bytes: left out %q, %v", size, leftOut, err)
		}
	}
}
