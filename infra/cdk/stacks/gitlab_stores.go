package stacks

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/jsii-runtime-go"

	"github.com/fargate-driver/fargate-driver/infra/cdk/access"
	"github.com/fargate-driver/fargate-driver/infra/cdk/render"
)

// databaseBackupDays is how far back the database can be rewound.
const databaseBackupDays = 14

// databaseName and databaseUser are what GitLab's documentation uses.
const (
	databaseName = "gitlabhq_production"
	databaseUser = "gitlab"
)

func (g *GitLab) addDatabase(config *render.GitLab) {
	switch g.s.GitLab.Database {
	case "rds":
		config.DatabaseHost = g.addRDS()
	case "aurora":
		config.DatabaseHost = g.addAurora()
		awscdk.Annotations_Of(g.stack).AddWarningV2(jsii.String("fargate-driver:aurora"),
			jsii.String("GitLab says that Amazon Aurora is incompatible and not supported; this is at your own risk (gitlab.aurora_unsupported_by_gitlab)"))
	}
}

// addRDS makes the database that GitLab supports: an instance with a standby
// in another zone. The master user is a member of rds_superuser, which GitLab
// needs to install its extensions.
func (g *GitLab) addRDS() string {
	props := &awsrds.DatabaseInstanceProps{
		Engine: awsrds.DatabaseInstanceEngine_Postgres(&awsrds.PostgresInstanceEngineProps{Version: awsrds.PostgresEngineVersion_Of(&g.s.GitLab.DatabaseVersion, g.databaseMajor(), nil)}),
		Vpc:    g.network.VPC, VpcSubnets: g.network.privateSelection(),
		SecurityGroups: &[]awsec2.ISecurityGroup{g.network.Groups[access.Database]},
		InstanceType:   awsec2.NewInstanceType(&g.s.GitLab.DatabaseType),
		MultiAz:        jsii.Bool(true), PubliclyAccessible: jsii.Bool(false),
		DatabaseName: jsii.String(databaseName), Credentials: g.databaseCredentials(),
		StorageEncrypted: jsii.Bool(true), StorageType: awsrds.StorageType_GP3,
		AllocatedStorage: jsii.Number(g.s.GitLab.DatabaseGiB), MaxAllocatedStorage: jsii.Number(4 * g.s.GitLab.DatabaseGiB),
		// GitLab asks for it: a minor upgrade restarts the database under it.
		AutoMinorVersionUpgrade: jsii.Bool(false),
		BackupRetention:         awscdk.Duration_Days(jsii.Number(databaseBackupDays)),
		CopyTagsToSnapshot:      jsii.Bool(true), DeletionProtection: jsii.Bool(g.s.Data == "retain"),
		CloudwatchLogsExports: list("postgresql"), RemovalPolicy: g.snapshot(),
		Parameters: &map[string]*string{"rds.force_ssl": jsii.String("1")},
	}
	if g.network.Key != nil {
		props.StorageEncryptionKey = g.network.Key
	}
	instance := awsrds.NewDatabaseInstance(g.stack, jsii.String("Database"), props)
	g.addSecret(*instance.Secret().SecretArn(), render.SecretField{Variable: "GITLAB_DB_PASSWORD", Path: ".password"})
	return *instance.DbInstanceEndpointAddress()
}

func (g *GitLab) addAurora() string {
	props := &awsrds.DatabaseClusterProps{
		Engine: awsrds.DatabaseClusterEngine_AuroraPostgres(&awsrds.AuroraPostgresClusterEngineProps{Version: awsrds.AuroraPostgresEngineVersion_Of(&g.s.GitLab.DatabaseVersion, g.databaseMajor(), nil)}),
		Vpc:    g.network.VPC, VpcSubnets: g.network.privateSelection(),
		SecurityGroups:      &[]awsec2.ISecurityGroup{g.network.Groups[access.Database]},
		Writer:              awsrds.ClusterInstance_Provisioned(jsii.String("Writer"), &awsrds.ProvisionedClusterInstanceProps{InstanceType: awsec2.NewInstanceType(&g.s.GitLab.DatabaseType)}),
		Readers:             &[]awsrds.IClusterInstance{awsrds.ClusterInstance_Provisioned(jsii.String("Standby"), &awsrds.ProvisionedClusterInstanceProps{InstanceType: awsec2.NewInstanceType(&g.s.GitLab.DatabaseType)})},
		DefaultDatabaseName: jsii.String(databaseName), Credentials: g.databaseCredentials(),
		StorageEncrypted: jsii.Bool(true), DeletionProtection: jsii.Bool(g.s.Data == "retain"),
		Backup:                &awsrds.BackupProps{Retention: awscdk.Duration_Days(jsii.Number(databaseBackupDays))},
		CloudwatchLogsExports: list("postgresql"), CopyTagsToSnapshot: jsii.Bool(true), RemovalPolicy: g.snapshot(),
	}
	if g.network.Key != nil {
		props.StorageEncryptionKey = g.network.Key
	}
	cluster := awsrds.NewDatabaseCluster(g.stack, jsii.String("Database"), props)
	g.addSecret(*cluster.Secret().SecretArn(), render.SecretField{Variable: "GITLAB_DB_PASSWORD", Path: ".password"})
	return *cluster.ClusterEndpoint().Hostname()
}

func (g *GitLab) databaseMajor() *string {
	major, _, _ := strings.Cut(g.s.GitLab.DatabaseVersion, ".")
	return &major
}

func (g *GitLab) databaseCredentials() awsrds.Credentials {
	options := &awsrds.CredentialsBaseOptions{SecretName: jsii.String(g.s.Name + "/gitlab-database"), ExcludeCharacters: jsii.String("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")}
	if g.network.Key != nil {
		options.EncryptionKey = g.network.Key
	}
	return awsrds.Credentials_FromGeneratedSecret(jsii.String(databaseUser), options)
}

// snapshot keeps a last copy of a database that goes with its stack.
func (g *GitLab) snapshot() awscdk.RemovalPolicy {
	if g.s.Data == "retain" {
		return awscdk.RemovalPolicy_SNAPSHOT
	}
	return awscdk.RemovalPolicy_DESTROY
}

// addRedis makes two nodes with cluster mode off, which GitLab demands.
func (g *GitLab) addRedis(config *render.GitLab) {
	if g.s.GitLab.Redis == "bundled" {
		return
	}
	secret := g.secret("RedisSecret", "gitlab-redis", "Password of GitLab's Redis", "{}", "password", g.network.Key)
	subnets := awselasticache.NewCfnSubnetGroup(g.stack, jsii.String("RedisSubnets"), &awselasticache.CfnSubnetGroupProps{
		Description: jsii.String(g.name("redis")), SubnetIds: anys(g.network.privateIDs()...),
	})
	props := &awselasticache.CfnReplicationGroupProps{
		ReplicationGroupId: jsii.String(g.name("gitlab")), ReplicationGroupDescription: jsii.String("GitLab's Redis"),
		Engine: jsii.String("redis"), EngineVersion: jsii.String("7.1"), CacheNodeType: &g.s.GitLab.RedisType,
		NumCacheClusters: jsii.Number(2), AutomaticFailoverEnabled: jsii.Bool(true), MultiAzEnabled: jsii.Bool(true),
		AtRestEncryptionEnabled: jsii.Bool(true), TransitEncryptionEnabled: jsii.Bool(true),
		AuthToken:            secret.SecretValueFromJson(jsii.String("password")).UnsafeUnwrap(), // a reference that CloudFormation resolves, not the value
		CacheSubnetGroupName: subnets.Ref(), SecurityGroupIds: list(g.network.groupID(access.Redis)),
		SnapshotRetentionLimit: jsii.Number(7), AutoMinorVersionUpgrade: jsii.Bool(true), Port: jsii.Number(6379),
	}
	if g.network.Key != nil {
		props.KmsKeyId = g.network.Key.KeyArn()
	}
	group := awselasticache.NewCfnReplicationGroup(g.stack, jsii.String("Redis"), props)
	group.ApplyRemovalPolicy(g.snapshot(), nil)
	g.addSecret(*secret.SecretArn(), render.SecretField{Variable: "GITLAB_REDIS_PASSWORD", Path: ".password"})
	config.RedisHost = *group.AttrPrimaryEndPointAddress()
}
