# strangler.yaml for the network of docker-compose.yml: the same routes, services by their names.
/^admin:/d
/^listen:/c\
listen: proxy:8000                # by its name, since the steps ask for the blog where it listens\
admin: 0.0.0.0:8001               # for Prometheus and for you; the token is STRANGLER_ADMIN_TOKEN\
consul: {url: "http://consul:8500"}   # for an upstream that says  consul: {service: image}  and no url
s/127\.0\.0\.1:5000/monolith:5000/
s/127\.0\.0\.1:3001/auth:3001/
s/127\.0\.0\.1:3002/posts:3002/
s/127\.0\.0\.1:3003/image:3003/
s/127\.0\.0\.1:3004/payment:3004/
