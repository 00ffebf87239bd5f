package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// table writes rows in columns.
func table(w io.Writer, title string, rows [][]string) {
	fmt.Fprintf(w, "\n%s\n%s\n", title, strings.Repeat("-", len(title)))
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, "  "+strings.Join(row, "\t"))
	}
	_ = t.Flush() // an error of the stream comes again at the next write
}

func (t tables) resources(w io.Writer) {
	var rows [][]string
	for _, stack := range t.Stacks {
		counts := map[string]int{}
		total := 0
		for _, r := range t.Resources {
			if r.Stack == stack {
				counts[strings.TrimPrefix(r.Type, "AWS::")]++
				total++
			}
		}
		var parts []string
		for _, kind := range slices.Sorted(maps.Keys(counts)) {
			part := kind
			if counts[kind] > 1 {
				part = fmt.Sprintf("%d %s", counts[kind], kind)
			}
			parts = append(parts, part)
		}
		for i, line := range lines(parts, 100) {
			head := []string{"", ""}
			if i == 0 {
				head = []string{stack, fmt.Sprint(total)}
			}
			rows = append(rows, append(head, line))
		}
	}
	table(w, "Resources", rows)
}

// lines joins words with commas into lines of about a width.
func lines(words []string, width int) []string {
	var all []string
	line := ""
	for _, word := range words {
		if line != "" && len(line)+len(word) > width {
			all = append(all, line+",")
			line = ""
		}
		if line != "" {
			line += ", "
		}
		line += word
	}
	return append(all, line)
}

// ports lists what may connect to what: what is not here is refused.
func (t tables) ports(w io.Writer) {
	groups := map[string]string{}
	for _, r := range t.Of("AWS::EC2::SecurityGroup") {
		groups[r.ID] = plain(r.Properties["GroupDescription"])
	}
	name := func(v any) string {
		p := plain(v)
		if known, ok := groups[p]; ok {
			return known
		}
		return p
	}
	var rows [][]string
	for _, i := range t.Ingress() {
		from := plain(template.At(i.Rule, "CidrIp"))
		if from == "" {
			from = name(template.At(i.Rule, "SourceSecurityGroupId"))
		}
		rows = append(rows, []string{from, "->", name(i.To), plain(template.At(i.Rule, "FromPort")), plain(template.At(i.Rule, "Description"))})
	}
	slices.SortStableFunc(rows, func(a, b []string) int { return strings.Compare(a[2], b[2]) })
	table(w, "Open ports (everything else is refused)", rows)

	rows = nil
	for _, r := range t.Of("AWS::EC2::SecurityGroup") {
		for _, rule := range template.Many(r.Properties["SecurityGroupEgress"]) {
			to := plain(template.At(rule, "CidrIp"))
			if port := plain(template.At(rule, "FromPort")); port != "" && strings.Contains(to, "/") && to != nowhere {
				rows = append(rows, []string{groups[r.ID], "->", to, port, plain(template.At(rule, "Description"))})
			}
		}
	}
	table(w, "Ways out (beside the connections above)", rows)
}

// roles lists who may do what.
func (t tables) roles(w io.Writer) {
	var rows [][]string
	for _, r := range t.Of("AWS::IAM::Role") {
		name := plain(r.Properties["RoleName"])
		if name == "" {
			name = r.ID // one that CDK made, for a NAT instance that asks for nothing
		}
		rows = append(rows, []string{name, plain(r.Properties["Description"])})
		for _, policy := range template.Many(r.Properties["Policies"]) {
			for _, s := range template.Many(template.At(policy, "PolicyDocument", "Statement")) {
				on := short(template.Many(template.At(s, "Resource")))
				rows = append(rows, []string{"", plain(template.At(s, "Action")) + " on " + on + onlyIf(template.At(s, "Condition"))})
			}
		}
		for _, managed := range template.Many(r.Properties["ManagedPolicyArns"]) {
			rows = append(rows, []string{"", "AWS's policy " + plain(managed)})
		}
	}
	table(w, "Who may do what", rows)
}

// onlyIf writes the conditions of a statement.
func onlyIf(conditions any) string {
	all, _ := conditions.(map[string]any)
	var parts []string
	for _, operator := range slices.Sorted(maps.Keys(all)) {
		keys, _ := all[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if operator == "Null" && keys[key] == "true" {
				parts = append(parts, key+" is not given")
				continue
			}
			parts = append(parts, key+" is "+short(template.Many(keys[key])))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ", only if " + strings.Join(parts, " and ")
}

// nowhere is where CDK lets a group out that is let out nowhere.
const nowhere = "255.255.255.255/32"

// shown is how many resources of a statement are named, and how long a name
// may be: the rest is in the template.
const shown, longest = 4, 60

// short leaves out of ARNs what is the same in all of them.
func short(all []any) string {
	var parts []string
	for _, v := range all {
		fields := strings.SplitN(plain(v), ":", 6)
		name := fields[len(fields)-1]
		if len(name) > longest {
			name = name[:longest] + "..."
		}
		parts = append(parts, name)
	}
	if len(parts) > shown {
		parts = append(parts[:shown], fmt.Sprintf("and %d more", len(parts)-shown))
	}
	return strings.Join(parts, ", ")
}
