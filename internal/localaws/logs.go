package localaws

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What GetLogEvents puts on a page, at most.
const (
	pageEvents   = 10_000
	pageBytes    = 1 << 20
	eventPadding = 26 // bytes that CloudWatch adds to an event's size
)

// logService is the stand-in's CloudWatch Logs.
type logService struct {
	mu     sync.Mutex
	groups map[string]map[string]*logStream
	pages  LogPages
	turn   int // counts calls, for the empty pages
}

// LogPages says how GetLogEvents cuts its pages. The real one promises little:
// a page may be short or even empty with more to come.
type LogPages struct {
	Events int  // at most so many events on a page; 0 means 10,000
	Empty  bool // every second page with more to come is empty
}

// logStream is a stream's events, in their order.
type logStream struct {
	events []logEvent
}

type logEvent struct {
	at      time.Time
	visible time.Time // late events: from when on they are shown
	message string
}

// SetLogPages changes how pages are cut from now on.
func (s *Server) SetLogPages(p LogPages) {
	s.logs.mu.Lock()
	defer s.logs.mu.Unlock()
	s.logs.pages = p
}

// PutLogEvents appends events to a stream, which it makes if need be. They are
// shown after delay.
func (s *Server) PutLogEvents(group, stream string, delay time.Duration, messages ...string) {
	s.logs.put(group, stream, delay, messages...)
}

// PutOldLogEvents appends events that were written some time ago and only now
// have come: a backlog.
func (s *Server) PutOldLogEvents(group, stream string, age time.Duration, messages ...string) {
	s.logs.putAt(group, stream, time.Now().Add(-age), time.Now(), messages...)
}

func (l *logService) put(group, stream string, delay time.Duration, messages ...string) {
	now := time.Now()
	l.putAt(group, stream, now, now.Add(delay), messages...)
}

func (l *logService) putAt(group, stream string, written, visible time.Time, messages ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.groups[group] == nil {
		l.groups[group] = map[string]*logStream{}
	}
	st := l.groups[group][stream]
	if st == nil {
		st = &logStream{}
		l.groups[group][stream] = st
	}
	for _, message := range messages {
		st.events = append(st.events, logEvent{at: written, visible: visible, message: message})
	}
}

func addLogs(s *Server) error {
	s.logs = &logService{groups: map[string]map[string]*logStream{}}
	s.addJSON(&jsonService{name: "logs", target: "Logs_20140328", operations: map[string]operation{
		"GetLogEvents": typed(s.logs.getLogEvents),
	}})
	return nil
}

type getLogEventsInput struct {
	LogGroupName       string `json:"logGroupName"`
	LogGroupIdentifier string `json:"logGroupIdentifier"`
	LogStreamName      string `json:"logStreamName"`
	NextToken          string `json:"nextToken"`
	Limit              int    `json:"limit"`
	StartFromHead      bool   `json:"startFromHead"`
	StartTime          *int64 `json:"startTime"`
	EndTime            *int64 `json:"endTime"`
	Unmask             bool   `json:"unmask"`
}

type outputLogEvent struct {
	Timestamp     int64  `json:"timestamp"`
	IngestionTime int64  `json:"ingestionTime"`
	Message       string `json:"message"`
}

type getLogEventsOutput struct {
	Events            []outputLogEvent `json:"events"`
	NextForwardToken  string           `json:"nextForwardToken"`
	NextBackwardToken string           `json:"nextBackwardToken"`
}

func (l *logService) getLogEvents(_ context.Context, in *getLogEventsInput) (*getLogEventsOutput, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	group := in.LogGroupName
	if group == "" {
		group = in.LogGroupIdentifier
	}
	streams, ok := l.groups[group]
	if !ok {
		return nil, refuse("ResourceNotFoundException", "The specified log group does not exist.")
	}
	stream, ok := streams[in.LogStreamName]
	if !ok {
		return nil, refuse("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	if in.Limit < 0 || in.Limit > pageEvents {
		return nil, refuse("InvalidParameterException", "Value '%d' at 'limit' failed to satisfy constraint: Member must have value less than or equal to %d", in.Limit, pageEvents)
	}
	from, empties, err := decodeToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	if in.NextToken != "" && !in.StartFromHead {
		return nil, refuse("InvalidParameterException", "startFromHead must be true when a forward token is given")
	}
	limit := pageEvents
	for _, smaller := range []int{in.Limit, l.pages.Events} {
		if smaller > 0 && smaller < limit {
			limit = smaller
		}
	}
	shown := stream.shown(time.Now())
	if in.NextToken == "" && !in.StartFromHead {
		from = max(0, shown-limit) // the latest ones
	}
	out := &getLogEventsOutput{Events: []outputLogEvent{}}
	if l.turn++; l.pages.Empty && l.turn%2 == 1 && from < shown {
		// A new token with nothing: there is more to come.
		out.NextForwardToken = encodeToken(from, empties+1)
		out.NextBackwardToken = out.NextForwardToken
		return out, nil
	}
	size, to := 0, from
	for ; to < shown && to-from < limit; to++ {
		event := stream.events[to]
		if size += len(event.message) + eventPadding; size > pageBytes && to > from {
			break
		}
		out.Events = append(out.Events, outputLogEvent{event.at.UnixMilli(), event.visible.UnixMilli(), event.message})
	}
	if to == from && in.NextToken != "" {
		out.NextForwardToken = in.NextToken // the end, for now
	} else {
		out.NextForwardToken = encodeToken(to, 0)
	}
	out.NextBackwardToken = encodeToken(from, 0)
	return out, nil
}

// shown is how many events can be seen: none behind one that is still late.
func (st *logStream) shown(now time.Time) int {
	for i := range st.events {
		if st.events[i].visible.After(now) {
			return i
		}
	}
	return len(st.events)
}

func encodeToken(index, empties int) string {
	return "f/" + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", index, empties))
}

func decodeToken(token string) (index, empties int, err error) {
	if token == "" {
		return 0, 0, nil
	}
	plain, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "f/"))
	if err == nil {
		i, e, _ := strings.Cut(string(plain), ".")
		if index, err = strconv.Atoi(i); err == nil {
			empties, err = strconv.Atoi(e)
		}
	}
	if err != nil {
		return 0, 0, refuse("InvalidParameterException", "The specified nextToken is invalid.")
	}
	return index, empties, nil
}
