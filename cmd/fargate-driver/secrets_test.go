package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
	"github.com/fargate-driver/fargate-driver/internal/record"
)

// A job's secrets and the driver's own keys: not in arguments, not in what AWS
// is told, not in logs, and in no file after cleanup.
func TestNothingSecretIsLeftOrTold(t *testing.T) {
	t.Parallel()
	for _, server := range []string{"agent", "OpenSSH"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{}, "")
			if server == "OpenSSH" {
				w.sshd()
			}
			j := w.job("DEPLOY_PASSWORD=variable-secret")
			j.stage("prepare").want(t, succeeded)
			s := j.begin("run", j.script("export PASSWORD=script-secret\necho begun; while [ ! -e "+w.dir+"/go ]; do sleep 0.05; done\n"), "build_script")
			s.stdout.await(t, "begun")

			secrets := []string{"script-secret", "variable-secret", "glcbt-job-token", w.privateKey()}
			arguments, err := filepath.Glob("/proc/[0-9]*/cmdline")
			must(t, err)
			for _, name := range arguments {
				if data, err := os.ReadFile(name); err == nil {
					wantNone(t, name, string(data), secrets)
				}
			}
			for _, call := range w.aws.Calls() {
				wantNone(t, "call of "+call.Operation, string(call.Body), secrets)
			}
			must(t, os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600))
			w.finish(s).want(t, succeeded)
			j.stage("cleanup").want(t, succeeded)

			wantNone(t, "driver's log", w.log(), secrets)
			for _, dir := range []string{filepath.Join(w.dir, "records"), w.aws.Dir()} {
				must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
					if err != nil || !entry.Type().IsRegular() {
						return nil // the task's directory vanishes while it is looked at
					}
					if data, err := os.ReadFile(path); err == nil {
						wantNone(t, path, string(data), secrets)
					}
					return nil
				}))
			}
		})
	}
}

// privateKey is a line from the middle of the job's own key.
func (w *world) privateKey() string {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.dir, "records", "*.json"))
	must(w.t, err)
	data, err := os.ReadFile(names[0])
	must(w.t, err)
	var r record.Record
	must(w.t, json.Unmarshal(data, &r))
	return strings.Split(r.PrivateKey, "\n")[3]
}

func wantNone(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds %q", where, secret)
		}
	}
}
