package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// State is the answer of `fargate-driver task-state`, in JSON.
type State struct {
	Dead string `json:"dead"` // why the task does not live any more; empty while it does
}

// askLimit bounds a question to ECS by way of the driver: settling, and the
// SDK's three attempts of a call.
const askLimit = time.Minute

// settle is how long the driver may wait for ECS to know the whole reason of a
// task's end: containers have their exit codes some seconds after they ended.
const settle = 20 * time.Second

// AskDriver asks the fargate-driver program, which has the AWS SDK that this
// package must not have.
func AskDriver(program, config, key string) func(context.Context, bool) (string, error) {
	return func(ctx context.Context, wait bool) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		args := []string{"--config", config, "task-state", key}
		if wait {
			args = append(args, "--settle", settle.String())
		}
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Stderr = &said
		cmd.WaitDelay = time.Second // for a credential_process that keeps the pipe
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
		}
		var state State
		if err := json.Unmarshal(out, &state); err != nil {
			return "", fmt.Errorf("reading the answer of %s task-state: %w", program, err)
		}
		return state.Dead, nil
	}
}
