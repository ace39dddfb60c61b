-- What must be true of the restored database; as /etc/sg/APP.d/orders.sql (or, where the application has several
-- databases, /etc/sg/APP.d/DATABASE/orders.sql). One query, one row, one value: true.
SELECT count(*) > 1000 AND max(placed) > now() - interval '3 days' FROM orders
