package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/build"
)

// Annotations writes the links that GitLab shows on the job's page, as
// artifacts:reports:annotations takes them. It takes 20 lists and 80 KiB; one
// list of two links is far from either.
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
