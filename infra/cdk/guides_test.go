package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestGuidesAgree keeps the Japanese guide in step with the English one: the
// same commands, as many headings, and tables with as many rows.
func TestGuidesAgree(t *testing.T) {
	t.Parallel()
	english, japanese := shape(t, "../../docs/deploy.md"), shape(t, "../../docs/ja/deploy.md")
	if len(english) < 50 {
		t.Fatalf("only %d lines were seen", len(english))
	}
	for i := range min(len(english), len(japanese)) {
		if english[i] != japanese[i] {
			t.Fatalf("they part at\n  %s\n  %s", english[i], japanese[i])
		}
	}
	if len(english) != len(japanese) {
		t.Errorf("one goes on with %q", slices.Concat(english, japanese)[min(len(english), len(japanese))])
	}
}

// shape is what both languages share of a page: its commands without their
// comments, and a sign for each heading and each row of a table.
func shape(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "    "):
			command, _, _ := strings.Cut(line, "  #")
			all = append(all, strings.TrimSpace(command))
		case strings.HasPrefix(line, "## "):
			all = append(all, "a heading")
		case strings.HasPrefix(line, "|"):
			all = append(all, "a row")
		}
	}
	return all
}
