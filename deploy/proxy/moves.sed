# migrations/moves.yaml for docker-compose.yml.
# In MongoDB posts and comments are whole rows: names of authors are not in them.
/^  - name: posts$/,/^  - name: payment$/{
  /^        columns:$/d
  /^          /d
}
# A container has another address after each start, so that writers are known by their accounts.
/^    routes:/i\
    writers: {control: ["blog@*"], candidate: ["auth@*", "posts@*", "payment@*"]}
