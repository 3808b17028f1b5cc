# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the backends run: nginx, and Fairlead's backend program on their interface. Sourced by scripts/lab.sh.
#
#   GET  /any/path     "be1 /any/path" and the header X-Backend: be1
#   GET  /files/NAME   <host directory>/www/files/NAME
#   PUT  /upload/NAME  stores it in <host directory>/www/upload/
#   GET  /health       200, or 503 while <host directory>/www/unhealthy exists

write_nginx_configuration() {
    local host=$1 directory
    directory=$(host_directory "$host")
    mkdir -p "$directory/www/files" "$directory/www/upload" "$directory/temporary"
    chown -R www-data:www-data "$directory/www/upload" "$directory/temporary"
    cat >"$directory/nginx.conf" <<END
user www-data;
worker_processes 1;
daemon off;
pid $directory/nginx.master;
error_log $directory/nginx.log warn;
events {
    worker_connections $(ulimit -n);
    multi_accept on;
}
http {
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    # Held connections stay until the client ends them: a close by the server would look like a broken one.
    keepalive_timeout 24h;
    keepalive_requests 1000000000;
    client_header_timeout 1h;
    client_max_body_size 0;
    client_body_temp_path $directory/temporary/body;
    proxy_temp_path $directory/temporary/proxy;
    fastcgi_temp_path $directory/temporary/fastcgi;
    uwsgi_temp_path $directory/temporary/uwsgi;
    scgi_temp_path $directory/temporary/scgi;
    server {
        listen 80 reuseport backlog=65535;
        root $directory/www;
        add_header X-Backend $host always;
        location / {
            return 200 "$host \$request_uri\n";
        }
        location /files/ {
        }
        location /upload/ {
            dav_methods PUT;
        }
        location = /health {
            if (-e $directory/www/unhealthy) {
                return 503 "$host unhealthy\n";
            }
            return 200 "$host healthy\n";
        }
    }
}
END
}

start_nginx() {
    launch "$1" nginx nginx -e "$(host_directory "$1")/nginx.log" -c "$(host_directory "$1")/nginx.conf"
}

nginx_answers() {
    in_host "$1" curl -s -o /dev/null --max-time 1 "http://$(host_address "$1")/health"
}

attach_backend() {
    local host=$1 balancer allowed=()
    for balancer in $(balancers); do allowed+=("$(host_address "$balancer")"); done
    in_host "$host" "$programs/fairlead-backend" attach --interface eth0 --allow-balancer "${allowed[@]}" \
        --vip "${kVips[@]}" >>"$(host_directory "$host")/fairlead-backend.log" 2>&1
}
