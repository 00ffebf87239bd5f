// Package awsquery makes the few reading calls of EC2 and IAM that the driver
// and the bridge need, by AWS's Query protocol and with the SDK's signer. The SDK's own
// packages for these two services take longer to compile than the rest of the
// driver together.
package awsquery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// Client calls with the Region and credentials of an aws.Config.
type Client struct {
	cfg  aws.Config
	http *http.Client
}

// callLimit bounds one attempt of one call; the answers are a few kilobytes.
const callLimit = 10 * time.Second

// answerMost bounds what is read of an answer.
const answerMost = 4 << 20

// New makes a client; it calls nothing.
func New(cfg aws.Config) *Client {
	return &Client{cfg: cfg, http: &http.Client{Timeout: callLimit}}
}

type service struct {
	name, version string
	endpoint      string
	region        string // to sign for; IAM is global and lives in one
}

func (c *Client) ec2() service {
	suffix := "amazonaws.com"
	if strings.HasPrefix(c.cfg.Region, "cn-") {
		suffix += ".cn"
	}
	return service{"ec2", "2016-11-15", "https://ec2." + c.cfg.Region + "." + suffix, c.cfg.Region}
}

func (c *Client) iam() service {
	s := service{"iam", "2010-05-08", "https://iam.amazonaws.com", "us-east-1"}
	switch {
	case strings.HasPrefix(c.cfg.Region, "cn-"):
		s.endpoint, s.region = "https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1"
	case strings.HasPrefix(c.cfg.Region, "us-gov-"):
		s.endpoint, s.region = "https://iam.us-gov.amazonaws.com", "us-gov-west-1"
	}
	return s
}

// call makes a signed call, with the SDK's standard retries, and decodes the
// XML answer into out. An error of AWS's is a smithy.APIError.
func (c *Client) call(ctx context.Context, s service, action string, parameters url.Values, out any) error {
	if c.cfg.BaseEndpoint != nil {
		s.endpoint = *c.cfg.BaseEndpoint
	}
	body := url.Values{"Action": {action}, "Version": {s.version}}
	for name, values := range parameters {
		body[name] = values
	}
	again := retry.NewStandard()
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, s, body.Encode(), out)
		if err == nil || attempt == again.MaxAttempts() || !again.IsErrorRetryable(err) {
			return err
		}
		wait, err := again.RetryDelay(attempt, err)
		if err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *Client) once(ctx context.Context, s service, body string, out any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(s.endpoint, "/")+"/", strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if c.cfg.Credentials == nil {
		return errors.New("get credentials: none are configured")
	}
	credentials, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return fmt.Errorf("get credentials: %w", err)
	}
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(sum[:]), s.name, s.region, time.Now()); err != nil {
		return err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, answerMost))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return refused(response.StatusCode, data)
	}
	return xml.Unmarshal(data, out)
}

// refused reads an error answer: EC2 and IAM wrap the same two fields in
// different elements.
func refused(status int, data []byte) error {
	var answer struct {
		EC2 struct{ Code, Message string } `xml:"Errors>Error"`
		IAM struct{ Code, Message string } `xml:"Error"`
	}
	e := &smithy.GenericAPIError{Code: http.StatusText(status), Message: strings.TrimSpace(string(data[:min(len(data), 200)]))}
	if xml.Unmarshal(data, &answer) == nil {
		for _, found := range []struct{ Code, Message string }{answer.EC2, answer.IAM} {
			if found.Code != "" {
				e.Code, e.Message = found.Code, found.Message
			}
		}
	}
	e.Fault = smithy.FaultClient
	if status >= 500 {
		e.Fault = smithy.FaultServer
	}
	return e
}
