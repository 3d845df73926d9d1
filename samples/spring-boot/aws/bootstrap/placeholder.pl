# Answers every request with the same page. Perl, since every Debian or Ubuntu base has it.
use strict;
use warnings;
use IO::Socket::INET;

my $body = qq({"greeting":"Waiting for the first release"}\n);
my $page = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    . length($body) . "\r\nConnection: close\r\n\r\n$body";

$SIG{TERM} = sub { exit 0 };
$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "port 8080: $!\n";
while (1) {
    my $client = $listener->accept or next;
    # One that connects and says nothing must not keep the others waiting.
    $client->sockopt(SO_RCVTIMEO, pack('l!l!', 2, 0));
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    print $client $page;
    close $client;
}
