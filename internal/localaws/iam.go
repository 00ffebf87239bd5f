package localaws

import (
	"context"
	"encoding/xml"
	"net/url"
	"slices"
	"time"
)

// addIAM answers GetRole, for the roles that Options names.
func addIAM(s *Server) error {
	s.addQuery("GetRole", queryOperation{"iam", queryProtocol, func(_ context.Context, form url.Values) (any, error) {
		name := form.Get("RoleName")
		if !slices.Contains(s.opts.Roles, name) {
			return nil, &Error{Code: "NoSuchEntity", Message: "The role with name " + name + " cannot be found.", Status: 404}
		}
		type role struct {
			Path       string
			RoleName   string
			RoleID     string `xml:"RoleId"`
			Arn        string
			CreateDate string
			Trust      string `xml:"AssumeRolePolicyDocument"`
		}
		trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
		return struct {
			XMLName   xml.Name `xml:"https://iam.amazonaws.com/doc/2010-05-08/ GetRoleResponse"`
			Role      role     `xml:"GetRoleResult>Role"`
			RequestID string   `xml:"ResponseMetadata>RequestId"`
		}{
			Role: role{
				"/", name, "AROAEXAMPLEID", "arn:aws:iam::" + Account + ":role/" + name,
				time.Date(2020, 7, 31, 0, 0, 0, 0, time.UTC).Format(time.RFC3339), url.QueryEscape(trust),
			},
			RequestID: requestID(),
		}, nil
	}})
	return nil
}
