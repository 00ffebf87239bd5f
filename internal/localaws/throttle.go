package localaws

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limit is one token bucket of an account: how many calls at once, and how many
// a second for ever.
type limit struct {
	name      string
	burst     int
	sustained float64
	calls     []string // service:Operation, all of which share the bucket
}

// limits returns AWS's buckets, from "Request throttling for the Amazon ECS
// API" and, for launches, "Fargate throttling quotas".
func limits() []limit {
	return []limit{
		{"cluster resource modify", 100, 40, []string{"ecs:RunTask", "ecs:StopTask", "ecs:StartTask", "ecs:ExecuteCommand"}},
		{"cluster resource read", 100, 20, []string{"ecs:DescribeTasks", "ecs:ListTasks"}},
		{"task definition modify", 20, 1, []string{"ecs:RegisterTaskDefinition", "ecs:DeregisterTaskDefinition"}},
		{"task definition read", 50, 20, []string{"ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"}},
		{"cluster read", 50, 20, []string{"ecs:DescribeClusters", "ecs:ListClusters"}},
		{"capacity provider read", 50, 20, []string{"ecs:DescribeCapacityProviders"}},
		{"tagging", 20, 10, []string{"ecs:TagResource", "ecs:UntagResource"}},
		// Tasks, not calls; counted by RunTask itself.
		{"on-demand launches", 100, 20, []string{launchOnDemand}},
		{"Spot launches", 100, 20, []string{launchSpot}},
	}
}

// The buckets of Fargate's launches, as if they were calls.
const (
	launchOnDemand = "fargate:launch"
	launchSpot     = "fargate:launch-spot"
)

// throttle is the account's token buckets.
type throttle struct {
	now func() time.Time

	mu      sync.Mutex
	on      bool
	buckets map[string]*rate.Limiter // by service:Operation
}

func newThrottle(on bool) *throttle {
	t := &throttle{now: time.Now, on: on, buckets: map[string]*rate.Limiter{}}
	for _, l := range limits() {
		bucket := rate.NewLimiter(rate.Limit(l.sustained), l.burst)
		for _, call := range l.calls {
			t.buckets[call] = bucket
		}
	}
	return t
}

// take takes n tokens for a call, or returns AWS's refusal.
func (t *throttle) take(service, operation string, n int) error {
	return t.takeKey(service+":"+operation, n)
}

func (t *throttle) takeKey(key string, n int) error {
	t.mu.Lock()
	on, bucket := t.on, t.buckets[key]
	t.mu.Unlock()
	if !on || bucket == nil || bucket.AllowN(t.now(), n) {
		return nil
	}
	return refuse("ThrottlingException", "Rate exceeded")
}

// Throttle switches AWS's token buckets on or off.
func (s *Server) Throttle(on bool) {
	s.throttle.mu.Lock()
	defer s.throttle.mu.Unlock()
	s.throttle.on = on
}
