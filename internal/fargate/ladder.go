package fargate

import (
	"hash/fnv"
	"time"

	"github.com/fargate-driver/fargate-driver/internal/task"
)

// Ladder decides where to try a launch next. It is pure: no clock, no calls.
//
// Capacity: the next subnet, after the last one the next capacity provider,
// after the last provider all of it again from the start. Each full round, and
// each failure that another place would not mend, costs a longer wait.
type Ladder struct {
	places []Place
	at     int
	rounds int // failures that called for a wait
}

// NewLadder orders the places of a spec. Jobs begin at different subnets, by
// their seed, so that one subnet does not fill up first.
func NewLadder(spec task.Spec, seed string) *Ladder {
	providers := spec.CapacityProviders
	if len(providers) == 0 {
		providers = []string{""}
	}
	h := fnv.New32a()
	h.Write([]byte(seed))
	first := int(h.Sum32() % uint32(max(len(spec.Subnets), 1)))
	var l Ladder
	for _, provider := range providers {
		for i := range spec.Subnets {
			l.places = append(l.places, Place{Subnet: spec.Subnets[(first+i)%len(spec.Subnets)], Provider: provider})
		}
	}
	return &l
}

// Place is where to try now.
func (l *Ladder) Place() Place { return l.places[l.at] }

// UseLaunchType replaces the cluster's missing default strategy by the launch
// type FARGATE, from now on.
func (l *Ladder) UseLaunchType() {
	for i := range l.places {
		if l.places[i].Provider == "" {
			l.places[i].Provider = LaunchTypeFargate
		}
	}
}

// The waits between launches that AWS refuses: long enough not to be throttled
// again, short enough that free capacity is not missed by much.
const (
	firstWait = 2 * time.Second
	mostWait  = 30 * time.Second
)

// Failed says what to do after a failure: whether to try again, and how long
// to wait before. The wait is to be spread by jitter.
func (l *Ladder) Failed(class Class) (again bool, wait time.Duration) {
	switch class {
	case Capacity, Spot:
		if class == Spot {
			l.dropSpot()
		} else {
			l.at++
		}
		if l.at < len(l.places) {
			return true, 0
		}
		l.at = 0
		return true, l.longer()
	case Temporary:
		l.at = (l.at + 1) % len(l.places)
		return true, l.longer()
	case Throttled, Quota, Unanswered:
		return true, l.longer()
	}
	return false, 0
}

// dropSpot leaves Spot out where something else remains: the next launch after
// a reclaim would likely meet the same shortage.
func (l *Ladder) dropSpot() {
	var left []Place
	for _, p := range l.places {
		if p.Provider != "FARGATE_SPOT" {
			left = append(left, p)
		}
	}
	if len(left) > 0 {
		l.places = left
	}
	l.at = 0
}

func (l *Ladder) longer() time.Duration {
	wait := firstWait << min(l.rounds, 4)
	l.rounds++
	return min(wait, mostWait)
}
