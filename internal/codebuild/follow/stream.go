package follow

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/fargate-driver/fargate-driver/internal/codebuild/apierror"
)

// stream is how far a build's log has been read. The position is CloudWatch's
// own token: a position by time would lose or repeat events of the same
// millisecond.
type stream struct {
	token     *string
	lastEvent time.Time // when an event was last received
	caughtUp  time.Time // when all there was had been received
	missing   bool      // it does not exist (yet)
	throttled bool      // the last call was
	givenUp   bool
	reason    string // why
}

func (s *stream) giveUp(reason string) {
	s.givenUp, s.reason = true, reason
}

// drain reads what there is, page after page. A page may be short or empty
// with more to come; the end is reached when CloudWatch gives the token back
// that it was asked with. While the build runs that may never be, so it also
// returns when the build is due to be looked at, and after a page that trickles.
// It returns the number of events, and whether to go on at once.
func (f *Follower) drain(ctx context.Context, due time.Time) (total int, more bool, err error) {
	for {
		if err := f.limiter.Wait(ctx); err != nil {
			return total, false, context.Cause(ctx)
		}
		asked := time.Now()
		out, err := f.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName:  aws.String(f.build.Log.Group),
			LogStreamName: aws.String(f.build.Log.Stream),
			StartFromHead: aws.Bool(true),
			NextToken:     f.stream.token,
		})
		if err != nil {
			return total, false, f.logFailed(ctx, err, asked)
		}
		f.limiter.answered()
		f.stream.missing, f.stream.throttled = false, false
		size, newest := 0, time.Time{}
		for i := range out.Events {
			message := aws.ToString(out.Events[i].Message)
			size, newest = size+len(message), time.UnixMilli(aws.ToInt64(out.Events[i].Timestamp))
			f.print.event(message, newest)
		}
		if n := len(out.Events); n > 0 {
			total += n
			f.stream.lastEvent = time.Now()
			f.print.flush()
		}
		same := f.stream.token != nil && aws.ToString(out.NextForwardToken) == *f.stream.token
		f.stream.token = out.NextForwardToken
		if same {
			f.stream.caughtUp = asked
			return total, false, nil
		}
		if !f.ended.IsZero() {
			continue
		}
		now, known := middleware.GetServerTime(out.ResultMetadata)
		if !known {
			now = asked
		}
		if trickles(len(out.Events), size, newest, now) {
			return total, false, nil
		}
		if time.Now().After(due) {
			return total, true, nil
		}
	}
}

// logFailed decides about an error of GetLogEvents: nil means to go on. The
// log is not the build: what cannot be read is told, and the build's own
// status decides.
func (f *Follower) logFailed(ctx context.Context, err error, asked time.Time) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch apierror.Of(err) {
	case apierror.Throttled:
		f.stream.throttled = true
		f.limiter.throttled()
	case apierror.Expired:
		apierror.Renew(f.cfg)
	case apierror.Missing:
		f.stream.missing, f.stream.caughtUp = true, asked
	case apierror.Denied:
		f.stream.giveUp("logs:GetLogEvents is not allowed")
		f.say.Warn("The build's log cannot be shown (%v); the job's role needs logs:GetLogEvents on the log group %s.", apierror.Plain(err), f.build.Log.Group)
	case apierror.Refused, apierror.Unidentified:
		f.stream.giveUp(apierror.Words(err))
	}
	return nil
}

// peek reads the end of a log that is not shown, to find out why the build has
// failed. What cannot be read is no loss.
func (f *Follower) peek(ctx context.Context) {
	if !f.build.Log.Known() || f.build.Log.Disabled {
		return
	}
	out, err := f.logs.GetLogEvents(ctx, &cloudwatchlogs.GetLogEventsInput{
		LogGroupName:  aws.String(f.build.Log.Group),
		LogStreamName: aws.String(f.build.Log.Stream),
		Limit:         aws.Int32(200),
	})
	if err != nil {
		return
	}
	for i := range out.Events {
		f.print.tail.add(aws.ToString(out.Events[i].Message))
	}
}
