package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/jsii-runtime-go"
)

// keyARN is the deployment's key, or nil for those that AWS manages.
func keyARN(k awskms.Key) string {
	if k == nil {
		return ""
	}
	return *k.KeyArn()
}

// bucket makes a private bucket: encrypted, TLS only, no ACLs. expireDays is
// when objects go, 0 for never.
func (p part) bucket(id string, key awskms.Key, versioned bool, expireDays int, logs awss3.IBucket) awss3.Bucket {
	rule := &awss3.LifecycleRule{
		Id: jsii.String("expire"),
		// What an upload that never ended left behind is billed and invisible.
		AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
	}
	if expireDays > 0 {
		rule.Expiration = awscdk.Duration_Days(jsii.Number(expireDays))
	}
	if versioned {
		rule.NoncurrentVersionExpiration = awscdk.Duration_Days(jsii.Number(30))
	}
	props := &awss3.BucketProps{
		Encryption:        awss3.BucketEncryption_S3_MANAGED,
		BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
		ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
		EnforceSSL:        jsii.Bool(true),
		MinimumTLSVersion: jsii.Number(1.2),
		Versioned:         jsii.Bool(versioned),
		LifecycleRules:    &[]*awss3.LifecycleRule{rule},
		RemovalPolicy:     p.keep(),
	}
	if key != nil {
		props.Encryption, props.EncryptionKey, props.BucketKeyEnabled = awss3.BucketEncryption_KMS, key, jsii.Bool(true)
	}
	if logs != nil {
		props.ServerAccessLogsBucket, props.ServerAccessLogsPrefix = logs, jsii.String("s3/"+lower(id)+"/")
	}
	return awss3.NewBucket(p.stack, &id, props)
}

// logGroup makes a log group under the deployment's name.
func (p part) logGroup(id, name string, key awskms.Key) awslogs.CfnLogGroup {
	group := awslogs.NewCfnLogGroup(p.stack, &id, p.logGroupProps("/"+p.s.Name+"/"+name, key))
	group.ApplyRemovalPolicy(p.keep(), nil)
	return group
}

func (p part) logGroupProps(fullName string, key awskms.Key) *awslogs.CfnLogGroupProps {
	props := &awslogs.CfnLogGroupProps{LogGroupName: &fullName, RetentionInDays: jsii.Number(p.s.LogRetentionDays)}
	if key != nil {
		props.KmsKeyId = key.KeyArn()
	}
	return props
}

// logGroupARN is its ARN without the :* behind.
func (p part) logGroupARN(name string) string {
	return p.place.ARN("logs", "log-group:/"+p.s.Name+"/"+name)
}

// secret makes a secret with a random value. jsonKey is the key of the value
// in template; both empty make the secret one random word.
func (p part) secret(id, name, description, template, jsonKey string, key awskms.Key) awssecretsmanager.Secret {
	generate := &awssecretsmanager.SecretStringGenerator{
		PasswordLength: jsii.Number(40),
		// Letters and digits survive every file and shell that they pass.
		ExcludePunctuation: jsii.Bool(true),
	}
	if template != "" {
		generate.SecretStringTemplate, generate.GenerateStringKey = &template, &jsonKey
	}
	props := &awssecretsmanager.SecretProps{
		SecretName: jsii.String(p.s.Name + "/" + name), Description: &description,
		GenerateSecretString: generate, RemovalPolicy: p.keep(),
	}
	if key != nil {
		props.EncryptionKey = key
	}
	return awssecretsmanager.NewSecret(p.stack, &id, props)
}
