package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
)

// dotenvLimit is what GitLab takes of a dotenv report, 5 KB.
const dotenvLimit = 5 << 10

var dotenvName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Variables are what later jobs of the pipeline are told of a build.
func Variables(b build.Build) []build.Variable {
	list := []build.Variable{
		{Name: "CODEBUILD_BUILD_ID", Value: b.ID},
		{Name: "CODEBUILD_BUILD_ARN", Value: b.ARN},
		{Name: "CODEBUILD_BUILD_NUMBER", Value: strconv.FormatInt(b.Number, 10)},
		{Name: "CODEBUILD_BUILD_STATUS", Value: string(b.Status)},
		{Name: "CODEBUILD_LOG_URL", Value: b.Log.URL},
	}
	return append(list, b.Exported...)
}

// Dotenv writes the variables as artifacts:reports:dotenv takes them: one line
// each, without quotes, comments or blank lines. It returns the names that
// cannot be written so; a value with a line's end is not half a value.
func Dotenv(path string, list []build.Variable) (leftOut []string, err error) {
	var out strings.Builder
	for _, v := range list {
		line := v.Name + "=" + v.Value + "\n"
		switch {
		case v.Value == "":
			continue // GitLab takes no empty value
		case !dotenvName.MatchString(v.Name), strings.ContainsAny(v.Value, "\n\r\x00"), v.Value != strings.TrimSpace(v.Value), out.Len()+len(line) > dotenvLimit:
			leftOut = append(leftOut, v.Name)
			continue
		}
		out.WriteString(line)
	}
	return leftOut, write(path, []byte(out.String()))
}

// Annotations writes the links that GitLab shows on the job's page, as
// artifacts:reports:annotations takes them.
func Annotations(path string, b build.Build) error {
	type link struct {
		Label string `json:"label"`
		URL   string `json:"url"`
	}
	type entry struct {
		Link link `json:"external_link"`
	}
	var list []entry
	for _, l := range []link{
		{"CodeBuild build " + b.ID, b.ConsoleURL()},
		{"CloudWatch log", b.Log.URL},
	} {
		if l.URL != "" {
			list = append(list, entry{l})
		}
	}
	text, err := json.MarshalIndent(map[string][]entry{"codebuild": list}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the annotations: %w", err)
	}
	return write(path, append(text, '\n'))
}

// write puts a report in place as a whole: GitLab uploads it even from a job
// that was cancelled in the middle.
func write(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".codebuild-bridge-")
	if err != nil {
		return fmt.Errorf("writing the report %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644) // read by gitlab-runner, perhaps as another user
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing the report %s: %w", path, err)
	}
	return nil
}
