package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/localaws"
)

// Scripts as jobs have them and as nobody should, through the whole driver, to
// our agent and to OpenSSH.
func TestScripts(t *testing.T) {
	t.Parallel()
	large := "x=" + strings.Repeat("# a script that carries all variables inline\n", 5<<20/46) + "\necho large script ran\n"
	for _, server := range []string{"agent", "OpenSSH"} {
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, localaws.Options{}, "")
			if server == "OpenSSH" {
				w.sshd()
			}
			j := w.job()
			j.stage("prepare").want(t, succeeded)
			defer j.stage("cleanup")

			j.run(large).want(t, succeeded, "large script ran")

			r := j.run(`printf 'nul:\000:bad utf-8:\377\376:end'`)
			r.want(t, succeeded)
			if r.stdout != "nul:\x00:bad utf-8:\xff\xfe:end" {
				t.Errorf("bytes changed on their way: %q", r.stdout)
			}
			if r := j.run("printf 'no newline'"); r.stdout != "no newline" {
				t.Errorf("got %q", r.stdout)
			}

			r = j.run("seq 1 200000\n")
			r.want(t, succeeded)
			var want bytes.Buffer
			for i := 1; i <= 200000; i++ {
				fmt.Fprintln(&want, i)
			}
			if sha256.Sum256([]byte(r.stdout)) != sha256.Sum256(want.Bytes()) {
				t.Errorf("200,000 lines became %d bytes of %d", len(r.stdout), want.Len())
			}

			// What gitlab-runner's scripts rely on: bash, no input, no terminal.
			j.run(`eval $'echo "$BASH_VERSION" | grep -q . && read -r line < /dev/null || test ! -t 1'; cat; echo end`).want(t, succeeded, "end")
			j.run("exit 255\n").want(t, buildFailure)
			if got := j.exitCodeFile(); got != "255" {
				t.Errorf("exit code %q", got)
			}
			j.run("kill -KILL $$\n").want(t, buildFailure)
			if got := j.exitCodeFile(); got != "137" {
				t.Errorf("a script killed by KILL has exit code %q, want 137 as shells say", got)
			}

			r = j.run("sleep 300 & echo done\n")
			r.want(t, succeeded, "done")
			if r.took > 30*time.Second {
				t.Errorf("a child that was left behind held the job for %v", r.took)
			}
		})
	}
}

func TestRunWithoutPrepare(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	j.run("true\n").want(t, systemFailure, "running build_script", "no task record", "prepare has not run")
	j.stage("run", w.dir+"/none", "build_script").want(t, systemFailure, "no task record")
}

func TestTwoJobsOfOneProjectAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	one, two := w.job(), w.job()
	first, second := one.begin("prepare"), two.begin("prepare")
	w.finish(first).want(t, succeeded)
	w.finish(second).want(t, succeeded)
	one.run("echo one > mine\n").want(t, succeeded)
	one.stage("cleanup").want(t, succeeded)
	two.run("test ! -e mine && echo two\n").want(t, succeeded, "two")
	two.stage("cleanup").want(t, succeeded)
}

// The hand-over to the small program changes nothing that anybody sees.
func TestRunIsHandedToTheSmallProgram(t *testing.T) {
	t.Parallel()
	w := newWorld(t, localaws.Options{}, "")
	j := w.job()
	j.stage("prepare").want(t, succeeded)
	s := j.begin("run", j.script("echo begun; sleep 2\n"), "build_script")
	s.stdout.await(t, "begun")
	if got := processName(t, s.cmd.Process.Pid); got != "fargate-driver-" { // the kernel keeps 15 characters
		t.Errorf("the waiting process is %q", got)
	}
	w.finish(s).want(t, succeeded)
	j.stage("cleanup").want(t, succeeded)
}
