package localaws

import (
	"fmt"
	"strings"
	"sync"
)

// ecsService is the state of the stand-in's ECS.
type ecsService struct {
	server *Server
	spawn  *spawner

	mu          sync.Mutex
	clusters    map[string]*cluster          // by name
	families    map[string][]*taskDefinition // by family; revision n is at n-1
	tasks       map[string]*task             // by id
	order       []*task                      // the oldest first
	idempotent  map[string]*launch           // by cluster and client token
	lastAddress int
	stops       map[string]int // calls of StopTask by task id
	closed      bool
	running     sync.WaitGroup // a count for every task not yet STOPPED
}

func addECS(s *Server) error {
	e := &ecsService{
		server:      s,
		spawn:       newSpawner(s.opts.untagged),
		clusters:    map[string]*cluster{},
		families:    map[string][]*taskDefinition{},
		tasks:       map[string]*task{},
		idempotent:  map[string]*launch{},
		stops:       map[string]int{},
		lastAddress: -1,
	}
	s.ecs = e
	s.onClose(e.close)
	s.addJSON(&jsonService{
		name:   "ecs",
		target: "AmazonEC2ContainerServiceV20141113",
		operations: map[string]operation{
			"CreateCluster":               typed(e.createCluster),
			"DescribeClusters":            typed(e.describeClusters),
			"PutClusterCapacityProviders": typed(e.putClusterCapacityProviders),
			"DescribeCapacityProviders":   typed(e.describeCapacityProviders),

			"RegisterTaskDefinition":   typed(e.registerTaskDefinition),
			"DescribeTaskDefinition":   typed(e.describeTaskDefinition),
			"DeregisterTaskDefinition": typed(e.deregisterTaskDefinition),
			"ListTaskDefinitions":      typed(e.listTaskDefinitions),

			"RunTask":       e.runTask,
			"DescribeTasks": typed(e.describeTasks),
			"ListTasks":     typed(e.listTasks),
			"StopTask":      typed(e.stopTask),

			"TagResource":         typed(e.tagResource),
			"ListTagsForResource": typed(e.listTagsForResource),
		},
	})
	e.addTaskControl()
	return nil
}

// close kills what still runs and waits until nothing of it is left.
func (e *ecsService) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.running.Wait() // tasks see that the server is closing
	e.spawn.close()
}

// arn makes the name of a resource of this account: arn("task", "ci", id).
func (e *ecsService) arn(kind string, path ...string) string {
	return fmt.Sprintf("arn:aws:ecs:%s:%s:%s/%s", e.server.opts.Region, Account, kind, strings.Join(path, "/"))
}

// lastPart is what stands after the last slash: the short name in an ARN.
func lastPart(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }

// page cuts one page out of a list. The token is the number of names already
// given, which is as good as AWS's opaque ones to a client that only repeats it.
func page(all []string, maxResults *int, token string) (names []string, next string, err error) {
	size := 100
	if maxResults != nil {
		size = *maxResults
	}
	if size < 1 || size > 100 {
		return nil, "", refuse("InvalidParameterException", "Invalid maxResults")
	}
	from := 0
	if token != "" {
		if _, err := fmt.Sscanf(token, "page-%d", &from); err != nil || from > len(all) || from < 0 {
			return nil, "", refuse("InvalidParameterException", "Invalid token")
		}
	}
	to := min(from+size, len(all))
	if to < len(all) {
		next = fmt.Sprintf("page-%d", to)
	}
	return append([]string{}, all[from:to]...), next, nil
}
