// Makes of the server a replica set of one, whose stream of changes a rollback reads, and its two
// accounts. Safe to repeat: what is there stays, and passwords become those of .env again.
const NOT_YET_INITIALIZED = 94;
const DATABASE = "posts";
const PATIENCE_MS = 30_000;

function initiate() {
    try {
        rs.status();
    } catch (error) {
        if (error.code !== NOT_YET_INITIALIZED) throw error;
        rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "posts-db:27017" }] });
    }
}

function awaitPrimary() {
    const deadline = Date.now() + PATIENCE_MS;
    while (!db.hello().isWritablePrimary) {
        if (Date.now() > deadline) throw new Error("the server has not become the set's primary");
        sleep(200);
    }
}

function account(name, password, roles) {
    const owner = db.getSiblingDB(DATABASE);
    const wanted = { pwd: password, roles: roles.map((role) => ({ role, db: DATABASE })) };
    if (owner.getUser(name) === null) owner.createUser({ user: name, ...wanted });
    else owner.updateUser(name, wanted);
}

db = connect(`mongodb://root:${process.env.POSTS_DB_ROOT_PASSWORD}@posts-db:27017/admin?directConnection=true`);
initiate();
awaitPrimary();
account("posts", process.env.POSTS_DB_PASSWORD, ["readWrite"]);
// The mover shuts collections by a validator and writes past it; the service may do neither.
account("mover", process.env.POSTS_DB_MOVER_PASSWORD, ["readWrite", "dbAdmin"]);
