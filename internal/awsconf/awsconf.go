// Package awsconf is the one place that makes an aws.Config: region,
// credentials, retries and user agent. The SDK's own AWS_ENDPOINT_URL is the
// one seam to AWS, so nothing here knows of endpoints.
package awsconf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

// Options says what differs between the programs.
type Options struct {
	Region  string // empty: the SDK's own search (AWS_REGION, shared config)
	Program string // for the user agent, so that CloudTrail shows who called
	Version string

	// Credentials replaces the SDK's own search when it is not nil.
	Credentials aws.CredentialsProvider
	// CallLimit bounds one attempt of one call; 0 is no limit, for uploads.
	CallLimit time.Duration
	// Retries is the number of attempts of one call; 0 means the SDK's 3.
	Retries int
}

// Load makes the configuration. It makes no call to AWS; it fails on
// unreadable shared configuration and where no region is to be found.
func Load(ctx context.Context, o Options) (aws.Config, error) {
	load := []func(*config.LoadOptions) error{
		config.WithAppID(o.Program + "-" + o.Version),
		// The SDK would write to standard error, which is the job log.
		config.WithLogger(logging.Nop{}),
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(o.Credentials))
	}
	if o.CallLimit > 0 {
		load = append(load, config.WithHTTPClient(awshttp.NewBuildableClient().WithTimeout(o.CallLimit)))
	}
	if o.Retries > 0 {
		load = append(load, config.WithRetryMaxAttempts(o.Retries))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return aws.Config{}, errors.New("loading the AWS configuration: no region is set; set it in the configuration file or in AWS_REGION")
	}
	return cfg, nil
}
