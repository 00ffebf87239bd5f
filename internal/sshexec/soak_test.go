package sshexec_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/coordinator/agenttest"
	"github.com/fargate-driver/fargate-driver/internal/faultproxy"
	"github.com/fargate-driver/fargate-driver/internal/sshexec"
)

// Without flags the soak is short enough for every test run; `make soak` is the
// long one, and says what it found.
var (
	soakRounds = flag.Int("soak.rounds", 8, "how many jobs the soak runs")
	soakMiB    = flag.Int("soak.mib", 5, "how much each of them prints, in MiB")
	soakAgent  = flag.String("soak.agent", "", "a built coordinator to use instead of the test's own")
	soakFlap   = flag.Int("soak.flap", 1, "the longest time between two faults, in seconds")
	soakSeed   = flag.Uint64("soak.seed", 0, "seed of the faults; 0 takes one from the clock")
	soakTime   = flag.Duration("soak.time", time.Hour, "when to start no more rounds")
)

// TestSoak runs jobs over a network that breaks all the time, and checks every
// byte and every exit code.
func TestSoak(t *testing.T) {
	t.Parallel()
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	var agent *agenttest.Agent
	if *soakAgent != "" {
		agent = agenttest.StartBinary(t, *soakAgent)
	} else {
		agent = agenttest.Start(t)
	}
	var total soakFigures
	started := time.Now()
	rounds := make(chan int)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for round := range rounds {
				soakRound(t, agent.Target, seed, round, &total)
				if done := total.rounds.Load(); done%100 == 0 {
					t.Logf("%d rounds after %s, agent %d KiB", done, time.Since(started).Round(time.Second), memoryOf(t, agent.PID, "VmRSS"))
				}
			}
		})
	}
	for round := range *soakRounds {
		if t.Failed() || time.Since(started) > *soakTime {
			break
		}
		rounds <- round
	}
	close(rounds)
	workers.Wait()
	t.Logf("%d rounds, %d MiB of output, %d connections, %d lost and resumed, longest outage %s, peak of the agent %d KiB, %s in all",
		total.rounds.Load(), total.bytes.Load()>>20, total.connections.Load(), total.resumed.Load(),
		time.Duration(total.longest.Load()).Round(time.Millisecond), memoryOf(t, agent.PID, "VmHWM"), time.Since(started).Round(time.Second))
	if total.rounds.Load() == 0 {
		t.Error("no round was run")
	}
}

type soakFigures struct {
	rounds, bytes, connections, resumed, longest atomic.Int64
}

// soakRound is one job. Its lines are numbered and carry a checksum of the
// number, in two streams, so that what is missing, doubled or out of order shows
// where it happened.
func soakRound(t *testing.T, target sshexec.Target, seed uint64, round int, total *soakFigures) {
	random := rand.New(rand.NewPCG(seed, uint64(round)))
	proxy, err := faultproxy.New(target.Address)
	if err != nil {
		t.Error(err)
		return
	}
	defer proxy.Close()
	target.Address = proxy.Address()
	// Slow enough that faults find the job at work, whatever its size.
	proxy.Rate(int64(*soakMiB) << 20 / 2 * int64(1+random.IntN(4)) / 2)
	if random.IntN(3) == 0 {
		proxy.Delay(time.Duration(random.IntN(3)) * time.Millisecond)
	}
	first, code := 100_000_000+random.IntN(1_000_000)*100, random.IntN(256) // nine digits throughout
	longest := time.Duration(1+random.IntN(*soakFlap)) * time.Second
	ctx, stop := context.WithCancel(t.Context())
	var flapping sync.WaitGroup
	flapping.Go(func() { proxy.Flap(ctx, random, 100*time.Millisecond, longest) })
	defer flapping.Wait()
	defer stop()

	count := *soakMiB << 20 / len("100000000\n")
	text := fmt.Sprintf("seq %d %d; echo the end >&2; exit %d", first, first+count-1, code)
	check := &soakChecker{next: first}
	var stderr bytes.Buffer
	got, err := sshexec.Run(t.Context(), target, script("soak-"+strconv.FormatUint(seed, 36)+"-"+strconv.Itoa(round), text, check, &stderr), sshexec.Options{
		KeepAlive: time.Second, ConnectTimeout: 5 * time.Second,
		Notify: func(e sshexec.Event) {
			if e.Kind == sshexec.Resumed {
				total.resumed.Add(1)
				for longest := total.longest.Load(); int64(e.After) > longest && !total.longest.CompareAndSwap(longest, int64(e.After)); {
					longest = total.longest.Load()
				}
			}
		},
	})
	total.rounds.Add(1)
	total.bytes.Add(check.bytes)
	total.connections.Add(int64(proxy.Connections()))
	switch {
	case err != nil:
		t.Errorf("round %d: %v", round, err)
	case check.wrong != "":
		t.Errorf("round %d: %s", round, check.wrong)
	case check.next != first+count || len(check.rest) > 0:
		t.Errorf("round %d: the output ends at line %d of %d", round, check.next-first, count)
	case got != code || stderr.String() != "the end\n":
		t.Errorf("round %d: exit code %d, want %d; stderr %q", round, got, code, stderr.String())
	}
}

// soakChecker takes numbered lines and checks that each is the one after the last.
type soakChecker struct {
	next  int
	bytes int64
	sum   uint32
	rest  []byte
	wrong string
}

func (c *soakChecker) Write(b []byte) (int, error) {
	c.bytes += int64(len(b))
	c.sum = crc32.Update(c.sum, crc32.IEEETable, b)
	c.rest = append(c.rest, b...)
	for c.wrong == "" {
		line, rest, ok := bytes.Cut(c.rest, []byte("\n"))
		if !ok {
			break
		}
		n := 0
		for _, digit := range line {
			n = n*10 + int(digit-'0')
		}
		if n != c.next || len(line) != 9 {
			c.wrong = fmt.Sprintf("after %d bytes (checksum %08x) comes %q, want %09d", c.bytes, c.sum, line, c.next)
		}
		c.next++
		c.rest = rest
	}
	c.rest = append([]byte(nil), c.rest...)
	return len(b), nil
}
