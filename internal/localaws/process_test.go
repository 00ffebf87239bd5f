package localaws

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// alive says whether a process runs; a zombie does not.
func alive(pid int) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest != "" && rest[0] != 'Z' && rest[0] != 'X'
}

// pidsIn reads the process numbers that a script wrote, a line each.
func pidsIn(t *testing.T, file string) []int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, line := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// await returns when a script has written to the named pipe that it made for
// the purpose, or fails the test.
func await(t *testing.T, fifo string) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(fifo)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the script did not come so far")
	}
}

func newFifo(t *testing.T) string {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	return fifo
}

// Scripts leave their session, their parent and their environment; none of
// their processes may be left when the task has stopped.
func TestNothingOfATaskSurvives(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("descendants that leave their process group are only found on Linux")
	}
	end := map[string]func(*Server, *ecs.Client, string) error{
		"StopTask": func(s *Server, c *ecs.Client, arn string) error {
			_, err := c.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String("ci"), Task: &arn})
			return err
		},
		"out of memory": func(s *Server, _ *ecs.Client, arn string) error { return s.KillForMemory(arn) },
		"Close":         func(s *Server, _ *ecs.Client, _ string) error { return s.Close() },
	}
	for _, untagged := range []bool{false, true} {
		for name, stop := range end {
			t.Run(name+map[bool]string{true: ", by kinship"}[untagged], func(t *testing.T) {
				t.Parallel()
				fifo := newFifo(t)
				file := filepath.Join(t.TempDir(), "pids")
				script := `
					echo $$ >> "$0"
					setsid sh -c 'echo $$ >> "$0"; exec sleep 600' "$0" &
					setsid env -u LOCALAWS_TASK sh -c 'echo $$ >> "$0"; trap "" TERM; sleep 600; sleep 600' "$0" &
					(sh -c 'echo $$ >> "$0"; trap "" TERM; exec sleep 600' "$0" &)
					while [ "$(wc -l < "$0")" -lt 4 ]; do sleep 0.01; done
					echo ready > "$1"
					exec sleep 600`
				s, c := startECS(t, Options{untagged: untagged, StopTimeout: time.Second}, "sh", "-c", script, file, fifo)
				arn := run(t, c, jobInput())
				await(t, fifo)
				pids := pidsIn(t, file)
				for _, pid := range pids {
					if !alive(pid) {
						t.Fatalf("process %d of %v does not run yet", pid, pids)
					}
				}
				if err := stop(s, c, arn); err != nil {
					t.Fatal(err)
				}
				until(t, s, arn, "STOPPED")
				for _, pid := range pids {
					if alive(pid) {
						t.Errorf("process %d of %v survives its task", pid, pids)
					}
				}
			})
		}
	}
}

// A daemon is what the first process leaves when it ends by itself. One that
// left its session and its environment too can be found by its tag only.
func TestDaemonsEndWithTheirContainer(t *testing.T) {
	t.Parallel()
	if newTagWorks := os.Geteuid() == 0 && runtime.GOOS == "linux"; !newTagWorks {
		t.Skip("processes can be tagged by root on Linux only")
	}
	file := filepath.Join(t.TempDir(), "pids")
	script := `
		setsid env -i /bin/sh -c 'echo $$ >> "$0"; exec sleep 600' "$0" &
		while ! [ -s "$0" ]; do sleep 0.01; done`
	s, c := startECS(t, Options{}, "sh", "-c", script, file)
	arn := run(t, c, jobInput())
	until(t, s, arn, "STOPPED")
	if pids := pidsIn(t, file); len(pids) != 1 || alive(pids[0]) {
		t.Errorf("of %v some survive", pids)
	}
}

func TestStopTaskTermsThenKills(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script string
		code   int32
	}{
		"obeys":   {`trap 'exit 3' TERM; echo up > "$0"; while :; do sleep 0.01; done`, 3},
		"ignores": {`trap '' TERM; echo up > "$0"; while :; do sleep 0.01; done`, 137},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fifo := newFifo(t)
			s, c := startECS(t, Options{StopTimeout: 300 * time.Millisecond}, "sh", "-c", test.script, fifo)
			arn := run(t, c, jobInput())
			await(t, fifo)
			began := time.Now()
			if _, err := c.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String("ci"), Task: &arn}); err != nil {
				t.Fatal(err)
			}
			until(t, s, arn, "STOPPED")
			if code := aws.ToInt32(describe(t, c, arn).Containers[0].ExitCode); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if took := time.Since(began); test.code == 137 && took < 300*time.Millisecond {
				t.Errorf("killed after %v, before its stopTimeout", took)
			}
		})
	}
}

func TestReservedAddressesAreNotGivenTwice(t *testing.T) {
	t.Parallel()
	s, c := startECS(t, Options{}, "sleep", "600")
	arn := run(t, c, jobInput())
	until(t, s, arn, "RUNNING")
	address := net.JoinHostPort(s.Task(arn).Address, strconv.Itoa(reservationPort))
	if ln, err := net.Listen("tcp", address); err == nil {
		ln.Close()
		t.Errorf("%s is free while the task runs", address)
	}
	s.ecs.mu.Lock()
	reserved := s.ecs.tasks[lastPart(arn)].reserved
	s.ecs.mu.Unlock()
	if err := s.StopByHand(arn); err != nil {
		t.Fatal(err)
	}
	until(t, s, arn, "STOPPED")
	// To listen there ourselves would prove less: another test may have it by now.
	if _, err := reserved.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("still reserved when the task has stopped: %v", err)
	}
}
