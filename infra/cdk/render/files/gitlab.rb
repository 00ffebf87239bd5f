external_url '[[.URL]]'
letsencrypt['enable'] = false
[[if .NewNginxKeys -]]
gitlab_rails['nginx']['listen_port'] = 80
gitlab_rails['nginx']['listen_https'] = false
gitlab_rails['nginx']['real_ip_trusted_addresses'] = ['[[.VPC]]']
gitlab_rails['nginx']['real_ip_header'] = 'X-Forwarded-For'
gitlab_rails['nginx']['real_ip_recursive'] = 'on'
[[- if .TLS]]
gitlab_rails['nginx']['proxy_set_headers'] = { 'X-Forwarded-Proto' => 'https', 'X-Forwarded-Ssl' => 'on' }
[[- end]]
[[- else -]]
nginx['listen_port'] = 80
nginx['listen_https'] = false
nginx['real_ip_trusted_addresses'] = ['[[.VPC]]']
nginx['real_ip_header'] = 'X-Forwarded-For'
nginx['real_ip_recursive'] = 'on'
[[- if .TLS]]
nginx['proxy_set_headers'] = { 'X-Forwarded-Proto' => 'https', 'X-Forwarded-Ssl' => 'on' }
[[- end]]
[[- end]]
gitlab_rails['trusted_proxies'] = ['[[.VPC]]']
gitlab_rails['monitoring_whitelist'] = ['127.0.0.0/8', '::1/128', '[[.VPC]]']
gitlab_rails['gitlab_signup_enabled'] = false
gitlab_rails['initial_root_password'] = ENV['GITLAB_ROOT_PASSWORD']
[[- if .SSHHost]]
gitlab_rails['gitlab_ssh_host'] = '[[.SSHHost]]'
[[- end]]
[[- if not .Prometheus]]
prometheus_monitoring['enable'] = false
[[- end]]
[[- if .DatabaseHost]]
postgresql['enable'] = false
gitlab_rails['db_adapter'] = 'postgresql'
gitlab_rails['db_encoding'] = 'unicode'
gitlab_rails['db_host'] = '[[.DatabaseHost]]'
gitlab_rails['db_port'] = 5432
gitlab_rails['db_database'] = 'gitlabhq_production'
gitlab_rails['db_username'] = 'gitlab'
gitlab_rails['db_password'] = ENV['GITLAB_DB_PASSWORD']
gitlab_rails['db_sslmode'] = 'require'
[[- end]]
[[- if .RedisHost]]
redis['enable'] = false
gitlab_rails['redis_host'] = '[[.RedisHost]]'
gitlab_rails['redis_port'] = 6379
gitlab_rails['redis_password'] = ENV['GITLAB_REDIS_PASSWORD']
gitlab_rails['redis_ssl'] = true
[[- end]]
[[- if .Buckets]]
gitlab_rails['object_store']['enabled'] = true
gitlab_rails['object_store']['proxy_download'] = true
gitlab_rails['object_store']['connection'] = { 'provider' => 'AWS', 'region' => '[[.Region]]', 'use_iam_profile' => true }
[[- if .Key]]
gitlab_rails['object_store']['storage_options'] = { 'server_side_encryption' => 'aws:kms', 'server_side_encryption_kms_key_id' => '[[.Key]]' }
[[- end]]
[[- range .Buckets]]
gitlab_rails['object_store']['objects']['[[.Kind]]']['bucket'] = '[[.Name]]'
[[- end]]
[[- end]]
[[- if .MailFrom]]
gitlab_rails['gitlab_email_from'] = '[[.MailFrom]]'
[[- end]]
[[- if eq .Mail "ses"]]
gitlab_rails['smtp_enable'] = false
gitlab_rails['amazon_ses_mailer_enabled'] = true
gitlab_rails['amazon_ses_mailer_region'] = '[[.Region]]'
[[- end]]
[[- if eq .Mail "smtp"]]
gitlab_rails['smtp_enable'] = true
gitlab_rails['smtp_address'] = '[[.SMTPHost]]'
gitlab_rails['smtp_port'] = 587
gitlab_rails['smtp_authentication'] = 'login'
gitlab_rails['smtp_enable_starttls_auto'] = true
gitlab_rails['smtp_openssl_verify_mode'] = 'peer'
gitlab_rails['smtp_user_name'] = ENV['GITLAB_SMTP_USER']
gitlab_rails['smtp_password'] = ENV['GITLAB_SMTP_PASSWORD']
[[- end]]
[[- if .Extra]]
[[.Extra]]
[[- end]]
