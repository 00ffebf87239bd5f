package executor

import (
	"encoding/json"
	"io"

	"gitlab.com/gitlab-org/gitlab-runner/executors/custom/api"

	"github.com/fargate-driver/fargate-driver/internal/config"
)

// DriverName is what gitlab-runner shows in the job log.
const DriverName = "fargate-driver"

// WriteConfig writes the answer of the config stage. Nothing else may be on
// its stdout. Directories and shell are named only where the operator set
// them, so that those of config.toml stay in force.
func WriteConfig(w io.Writer, c config.Config, version, hostname string) error {
	name := DriverName
	out := api.ConfigExecOutput{
		Driver:    &api.DriverInfo{Name: &name, Version: &version},
		Hostname:  &hostname,
		BuildsDir: ifSet(c.Jobs.BuildsDir),
		CacheDir:  ifSet(c.Jobs.CacheDir),
		Shell:     ifSet(c.Jobs.Shell),
	}
	return json.NewEncoder(w).Encode(out)
}

func ifSet(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
