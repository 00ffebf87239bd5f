package localaws

import (
	"context"
	"encoding/xml"
	"net/url"
	"strconv"
	"strings"
	"time"
)

func addSTS(s *Server) error {
	s.addQuery("GetCallerIdentity", queryOperation{"sts", queryProtocol, func(context.Context, url.Values) (any, error) {
		type result struct {
			Arn     string
			UserID  string `xml:"UserId"`
			Account string
		}
		return struct {
			XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
			Result    result   `xml:"GetCallerIdentityResult"`
			RequestID string   `xml:"ResponseMetadata>RequestId"`
		}{Result: result{callerARN, "AROAEXAMPLEID:i-0a1b2c3d4e5f67890", Account}, RequestID: requestID()}, nil
	}})
	for _, action := range []string{"AssumeRole", "AssumeRoleWithWebIdentity"} {
		s.addQuery(action, queryOperation{"sts", queryProtocol, func(_ context.Context, form url.Values) (any, error) { return assumeRole(action, form) }})
	}
	return nil
}

// The lifetime of a role's credentials, in seconds, unless it is asked for.
const sessionSeconds = 3600

// assumeRole lends the credentials of any role to anybody: they are worth
// nothing. GetCallerIdentity goes on to name the caller's own.
func assumeRole(action string, form url.Values) (any, error) {
	for _, required := range []string{"RoleArn", "RoleSessionName"} {
		if form.Get(required) == "" {
			return nil, refuse("ValidationError", "1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", required)
		}
	}
	if action == "AssumeRoleWithWebIdentity" && strings.Count(form.Get("WebIdentityToken"), ".") != 2 {
		return nil, refuse("InvalidIdentityToken", "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)")
	}
	seconds := sessionSeconds
	if text := form.Get("DurationSeconds"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 900 || seconds > 43200 {
			return nil, refuse("ValidationError", "1 validation error detected: Value '%s' at 'durationSeconds' failed to satisfy constraint: Member must be between 900 and 43200", text)
		}
	}
	type credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string
		Expiration      string
	}
	type result struct {
		XMLName     xml.Name
		Credentials credentials
		User        string `xml:"AssumedRoleUser>Arn"`
	}
	_, role, _ := strings.Cut(form.Get("RoleArn"), ":role/")
	role = role[strings.LastIndexByte(role, '/')+1:] // a session's ARN is without the path
	return struct {
		XMLName   xml.Name
		Result    result
		RequestID string `xml:"ResponseMetadata>RequestId"`
	}{
		xml.Name{Space: "https://sts.amazonaws.com/doc/2011-06-15/", Local: action + "Response"},
		result{
			xml.Name{Local: action + "Result"},
			credentials{
				"ASIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "example-session-token",
				time.Now().Add(time.Duration(seconds) * time.Second).UTC().Format(time.RFC3339),
			},
			"arn:aws:sts::" + Account + ":assumed-role/" + role + "/" + form.Get("RoleSessionName"),
		},
		requestID(),
	}, nil
}
