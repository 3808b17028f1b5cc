# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the backends run: nginx, perhaps behind HAProxy, and Fairlead's backend program on their interface. Sourced by
# scripts/lab.sh.
#
#   GET  /any/path     "be1 /any/path" and the header X-Backend: be1
#   GET  /files/NAME   <host directory>/www/files/NAME
#   PUT  /upload/NAME  stores it in <host directory>/www/upload/
#   GET  /health       200, or 503 while <host directory>/www/unhealthy exists
#
# With `--servers haproxy` nginx is the application on port 8080, and HAProxy on port 80 asks all backends' applications in
# turn: the body then names the application's host, and X-Backend the HAProxy's.

readonly kServerConnectionsMax=60000   # nginx makes room for all of them when it starts
readonly kApplicationPort=8080

server_port() { if [ "$servers" = haproxy ]; then echo "$kApplicationPort"; else echo 80; fi; }
server_connections() {
    local limit
    limit=$(ulimit -n)
    echo $((limit < kServerConnectionsMax ? limit : kServerConnectionsMax))
}

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
    worker_connections $(server_connections);
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
        listen $(server_port) reuseport backlog=65535;
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

# Idle connections are the client's to end, as with nginx.
write_haproxy_configuration() {
    local host=$1 backend
    {
        cat <<END
global
    user www-data
    nbthread 1
    maxconn $(($(server_connections) / 2 - 100))
defaults
    mode http
    timeout connect 5s
    timeout client 24h
    timeout server 24h
    timeout http-keep-alive 24h
frontend web
    bind :80 backlog 65535
    http-response set-header X-Backend $host
    default_backend applications
backend applications
    balance roundrobin
    http-reuse always
END
        for backend in $(backends); do
            echo "    server $backend $(host_address "$backend"):$kApplicationPort"
        done
    } >"$(host_directory "$host")/haproxy.cfg"
}

start_haproxy() {
    launch "$1" haproxy haproxy -db -f "$(host_directory "$1")/haproxy.cfg"
}

server_answers() {
    in_host "$1" curl -s -o /dev/null --fail --max-time 1 "http://$(host_address "$1")/health"
}

attach_backend() {
    local host=$1 balancer allowed=() options
    read -ra options <<<"$backend_options"
    for balancer in $(balancers); do allowed+=("$(host_address "$balancer")"); done
    in_host "$host" "$programs/fairlead-backend" attach --interface eth0 --allow-balancer "${allowed[@]}" \
        --vip "${kVips[@]}" "${options[@]}" >>"$(host_directory "$host")/fairlead-backend.log" 2>&1
}
