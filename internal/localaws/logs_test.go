package localaws

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
)

// logPage asks for one page of a stream.
func logPage(t *testing.T, s *Server, token *string) *cloudwatchlogs.GetLogEventsOutput {
	t.Helper()
	out, err := cloudwatchlogs.NewFromConfig(config(s)).GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), StartFromHead: aws.Bool(true), NextToken: token,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPagesOfALog(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	lines := make([]string, 25_000)
	for i := range lines {
		lines[i] = strings.Repeat("x", 30)
	}
	s.PutLogEvents("g", "s", 0, lines...)
	s.PutLogEvents("g", "s", 0, strings.Repeat("y", 600<<10), strings.Repeat("z", 600<<10))
	var sizes []int
	var token *string
	for {
		out := logPage(t, s, token)
		sizes = append(sizes, len(out.Events))
		if token != nil && *out.NextForwardToken == *token {
			break
		}
		token = out.NextForwardToken
	}
	// 10,000 events, or 1 MB, whichever comes first; then the same token for ever.
	want := []int{10_000, 10_000, 5001, 1, 0}
	if len(sizes) != len(want) {
		t.Fatalf("got pages of %v events, want %v", sizes, want)
	}
	for i := range want {
		if sizes[i] != want[i] {
			t.Errorf("got pages of %v events, want %v", sizes, want)
		}
	}
	s.PutLogEvents("g", "s", 0, "late")
	if out := logPage(t, s, token); len(out.Events) != 1 || *out.Events[0].Message != "late" {
		t.Errorf("an old token does not find what came later: %v", out.Events)
	}
}

func TestEmptyPagesHaveMoreToCome(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	s.SetLogPages(LogPages{Events: 2, Empty: true})
	s.PutLogEvents("g", "s", 0, "1", "2", "3")
	got, empty := "", 0
	for token := (*string)(nil); ; {
		out := logPage(t, s, token)
		for _, e := range out.Events {
			got += *e.Message
		}
		if token != nil && *out.NextForwardToken == *token {
			break
		}
		if len(out.Events) == 0 {
			empty++
		}
		token = out.NextForwardToken
	}
	if got != "123" || empty < 2 {
		t.Errorf("got %q with %d empty pages", got, empty)
	}
}

func TestLateEventsHoldBackWhatComesAfter(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	s.PutLogEvents("g", "s", time.Hour, "late")
	s.PutLogEvents("g", "s", 0, "after it")
	if out := logPage(t, s, nil); len(out.Events) != 0 {
		t.Errorf("got %d events, want none yet", len(out.Events))
	}
}

func TestLogsThatAreNotThere(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	client := cloudwatchlogs.NewFromConfig(config(s))
	_, err := client.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("none"), LogStreamName: aws.String("s")})
	wantCode(t, err, "ResourceNotFoundException", "The specified log group does not exist.")
	s.PutLogEvents("g", "s", 0, "x")
	_, err = client.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("none")})
	wantCode(t, err, "ResourceNotFoundException", "The specified log stream does not exist.")
	_, err = client.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), StartFromHead: aws.Bool(true), NextToken: aws.String("f/??")})
	wantCode(t, err, "InvalidParameterException", "nextToken is invalid")
}

func TestTheEndOfALogIsTheDefault(t *testing.T) {
	t.Parallel()
	s := start(t, Options{NoThrottle: true})
	s.PutLogEvents("g", "s", 0, "1", "2", "3")
	out, err := cloudwatchlogs.NewFromConfig(config(s)).GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{
		LogGroupName: aws.String("g"), LogStreamName: aws.String("s"), Limit: aws.Int32(2),
	})
	if err != nil || len(out.Events) != 2 || *out.Events[0].Message != "2" {
		t.Errorf("got %v %v, want the last two", out, err)
	}
}
