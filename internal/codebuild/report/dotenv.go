package report

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
)

// What GitLab takes of a dotenv report. One that is over a limit is rejected as
// a whole, and with it the job's other reports.
const (
	// DotenvVariables is how many variables it takes where nobody has changed
	// that; GitLab.com takes 50 to 150, by the plan.
	DotenvVariables = 20
	// dotenvBytes is the largest file: it must be smaller than 5 KiB.
	dotenvBytes = 5<<10 - 1
)

var dotenvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)

// Variables are what later jobs of the pipeline are told of a build, the most
// important first: by the first two a build is found, the exported ones are what
// its author wants to hand on, and the others can be looked up.
func Variables(b build.Build) []build.Variable {
	list := slices.Concat(
		[]build.Variable{
			{Name: "CODEBUILD_BUILD_ID", Value: b.ID},
			{Name: "CODEBUILD_BUILD_STATUS", Value: string(b.Status)},
		},
		b.Exported,
		[]build.Variable{
			{Name: "CODEBUILD_BUILD_NUMBER", Value: strconv.FormatInt(b.Number, 10)},
			{Name: "CODEBUILD_BUILD_ARN", Value: b.ARN},
			{Name: "CODEBUILD_LOG_URL", Value: b.Log.URL},
		},
	)
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(v build.Variable) bool {
		again := seen[v.Name]
		seen[v.Name] = true
		return again
	})
}

// Dotenv writes the variables as artifacts:reports:dotenv takes them: one line
// each, without quotes, comments or blank lines, and not more than most of them.
// What does not fit is left out, from the end of the list, and told of, a line
// for each reason; half a value is never written.
func Dotenv(path string, list []build.Variable, most int) (leftOut []string, err error) {
	var out strings.Builder
	written := 0
	odd, over, large := []string{}, []string{}, []string{}
	for _, v := range list {
		line := v.Name + "=" + v.Value + "\n"
		switch {
		case v.Value == "": // GitLab takes no empty value
		case !dotenvName.MatchString(v.Name), strings.ContainsAny(v.Value, "\n\r\x00"), v.Value != strings.TrimSpace(v.Value), !utf8.ValidString(v.Value):
			odd = append(odd, v.Name)
		case written == most:
			over = append(over, v.Name)
		case out.Len()+len(line) > dotenvBytes:
			large = append(large, v.Name)
		default:
			out.WriteString(line)
			written++
		}
	}
	for _, reason := range []struct {
		names []string
		text  string
	}{
		{odd, "GitLab takes names of letters, digits and _, and values of one line of UTF-8 without spaces around it"},
		{over, fmt.Sprintf("it has %d variables, which is what GitLab takes by default; where your GitLab takes more, say so with --dotenv-variables", most)},
		{large, "GitLab takes less than 5 KiB in all"},
	} {
		if len(reason.names) > 0 {
			leftOut = append(leftOut, fmt.Sprintf("Not in the dotenv report: %s (%s).", strings.Join(reason.names, ", "), reason.text))
		}
	}
	return leftOut, write(path, []byte(out.String()))
}
