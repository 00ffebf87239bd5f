package access

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

var update = flag.Bool("update", false, "rewrite the tables in docs/security-infra.md")

// TestDocument keeps docs/security-infra.md in step: what follows its mark is
// written from the same data as the templates.
func TestDocument(t *testing.T) {
	t.Parallel()
	const file, mark = "../../../docs/security-infra.md", "<!-- written by go test ./access -update -->\n"
	s, err := settings.Load("../profiles/team.toml")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, found := strings.Cut(string(data), mark)
	if !found {
		t.Fatalf("%s has no line %s", file, mark)
	}
	want := "\n" + Tables(s)
	if *update {
		if err := os.WriteFile(file, []byte(head+mark+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tail != want {
		t.Errorf("%s is out of date: in infra/cdk, go test ./access -update", file)
	}
}

func TestFirewallReasons(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"small", "team", "closed"} {
		s, err := settings.Load("../profiles/" + profile + ".toml")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[Rule]bool{}
		for _, r := range Firewall(s, []string{"198.51.100.1"}) {
			if r.Why == "" || r.Port == 0 || r.From == r.To {
				t.Errorf("%s: %+v is not a whole rule", profile, r)
			}
			if r.To == string(Coordinator) && r.From != string(Manager) {
				t.Errorf("%s: %s reaches jobs", profile, r.From)
			}
			if seen[r] {
				t.Errorf("%s: %+v is there twice", profile, r)
			}
			seen[r] = true
		}
		if len(seen) < 8 {
			t.Errorf("%s: only %d rules", profile, len(seen))
		}
	}
}
