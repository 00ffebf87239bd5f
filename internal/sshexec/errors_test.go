package sshexec_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// listen starts a server that does as told with every connection.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

func TestDialErrors(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	otherKey, otherPrivate, err := sshexec.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	good := agent.Target
	for _, test := range []struct {
		name      string
		target    func() sshexec.Target
		want      error
		transient bool
	}{
		{"nothing listens", func() sshexec.Target {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			target := good
			target.Address = listener.Addr().String()
			return target
		}, sshexec.ErrRefused, true},
		{"says nothing", func() sshexec.Target {
			target := good
			target.Address = listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
			return target
		}, sshexec.ErrNoAnswer, true},
		{"not SSH", func() sshexec.Target {
			target := good
			target.Address = listen(t, func(conn net.Conn) {
				io.WriteString(conn, strings.Repeat("220 mail.example.com ESMTP ready, and what a lot to say\r\n", 2000))
				conn.Close()
			})
			return target
		}, sshexec.ErrNotSSH, false},
		{"closes at once", func() sshexec.Target {
			target := good
			target.Address = listen(t, func(conn net.Conn) { conn.Close() })
			return target
		}, nil, true},
		{"another key", func() sshexec.Target {
			target := good
			target.PrivateKey = otherPrivate
			return target
		}, sshexec.ErrKeyRefused, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client, err := sshexec.Dial(t.Context(), test.target(), sshexec.Options{ConnectTimeout: time.Second})
			if err == nil {
				client.Close()
				t.Fatal("it connected")
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if sshexec.Transient(err) != test.transient {
				t.Errorf("transient is %t for %v", !test.transient, err)
			}
			if strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("the error has the key in it: %v", err)
			}
		})
	}
	t.Run("another host key", func(t *testing.T) {
		t.Parallel()
		target := good
		target.HostKey = otherKey
		_, err := sshexec.Run(t.Context(), target, script("x", "true", io.Discard, io.Discard), sshexec.Options{})
		var wrong *sshexec.HostKeyError
		if !errors.As(err, &wrong) || !strings.HasPrefix(wrong.Want, "SHA256:") || !strings.HasPrefix(wrong.Got, "SHA256:") || wrong.Want == wrong.Got {
			t.Errorf("got %v", err)
		}
		if sshexec.Transient(err) {
			t.Error("it would be tried again")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		target := good
		target.Address = listen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := sshexec.Run(ctx, target, script("x", "true", io.Discard, io.Discard), sshexec.Options{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestClientTellsWhatItFound(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, target sshexec.Target) {
		client, err := sshexec.Dial(t.Context(), target, sshexec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		version, ours := client.Agent()
		if wantOurs := target.HostKey != ""; ours != wantOurs || ours && version != "test" {
			t.Errorf("Agent: got %q, %t", version, ours)
		}
		// What was seen on first use is accepted from then on.
		target.HostKey = client.HostKey()
		again, err := sshexec.Dial(t.Context(), target, sshexec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	})
}

// A task that comes up late is waited for, up to the limit.
func TestRunWaitsForTheFirstConnection(t *testing.T) {
	t.Parallel()
	agent := agenttest.Start(t)
	proxy, target := through(t, agent.Target)
	proxy.Refuse(true)
	time.AfterFunc(300*time.Millisecond, func() { proxy.Refuse(false) })
	code, err := sshexec.Run(t.Context(), target, script("late", "exit 6", io.Discard, io.Discard), sshexec.Options{})
	if err != nil || code != 6 {
		t.Errorf("got %d, %v", code, err)
	}
}
