package localaws

import (
	"context"
	"encoding/xml"
	"net/url"
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
	return nil
}
