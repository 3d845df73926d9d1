"""Asks a page and its DNS name at a steady rate until it is killed: ADDRESS NAME DNS LOG. At most half an hour."""
import http.client, socket, struct, sys, time

address, name, dns, path = sys.argv[1:5]
dns_host, dns_port = dns.rsplit(":", 1)


def ask_page():
    connection = http.client.HTTPConnection(address, 80, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": name})
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace").replace("\n", " ")
        return f"{answer.status} {body}"
    except Exception as error:
        return f"FAILED {error!r}"
    finally:
        connection.close()


def ask_name():
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0)
    question += b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        try:
            client.sendto(question, (dns_host, int(dns_port)))
            answer = client.recv(512)
            if answer[3] & 15 or not struct.unpack(">H", answer[6:8])[0]:
                return f"DNS code {answer[3] & 15}"
        except Exception as error:
            return f"DNS {error!r}"


end = time.monotonic() + 1800
with open(path, "w", buffering=1) as log:
    while time.monotonic() < end:
        began = time.monotonic()
        log.write(ask_page() + "\n")
        trouble = ask_name()
        if trouble:
            log.write(trouble + "\n")
        time.sleep(max(0, 0.05 - (time.monotonic() - began)))
