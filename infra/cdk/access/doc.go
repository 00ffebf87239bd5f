package access

import (
	"fmt"
	"strings"

	"github.com/fargate-driver/fargate-driver/infra/cdk/settings"
)

// Tables are the roles and rules as docs/security-infra.md has them: every
// role, and the firewall of given settings.
func Tables(s settings.Settings) string {
	var b strings.Builder
	b.WriteString("## Roles\n\nNames in capitals stand for what a deployment fills in. \"Any resource\" is told with its reason.\n")
	for _, r := range Everything() {
		fmt.Fprintf(&b, "\n### %s (%s)\n\n%s.\n\n", r.Name, r.Service, sentence(r.Why))
		if len(r.Statements) == 0 {
			fmt.Fprintf(&b, "AWS's own policies: %s.\n", strings.Join(BackupPolicies(), ", "))
			continue
		}
		b.WriteString("| may | on | only if | why |\n|---|---|---|---|\n")
		for _, st := range r.Statements {
			on := code(st.Resources)
			if st.Any != "" {
				on = "any resource: " + st.Any
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", code(st.Actions), on, conditions(st.Conditions), st.Why)
		}
	}
	b.WriteString("\n## Who may connect to whom\n\nThe rules of profiles/team.toml; everything else is refused. An end with a slash is a range of addresses, `NAT/32` the NAT's own.\n\n| from | to | TCP port | why |\n|---|---|---|---|\n")
	for _, r := range Firewall(s, []string{"NAT"}) {
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", r.From, r.To, r.Port, r.Why)
	}
	return b.String()
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func code(all []string) string { return "`" + strings.Join(all, "`<br>`") + "`" }

func conditions(all []Condition) string {
	lines := make([]string, len(all))
	for i, c := range all {
		lines[i] = fmt.Sprintf("%s `%s` = `%s`", c.Operator, c.Key, strings.Join(c.Values, "`, `"))
	}
	return strings.Join(lines, "<br>")
}
