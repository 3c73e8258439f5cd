# Wings.pm - the wings of src/ and their order: the one place that says who may
# call whom.
#
# A wing may call those before it in the list.  session and worker stand side by
# side and never call each other; module.c is above all.

package Wings;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(@WINGS wing below);

our @WINGS = qw(client pg project shared session worker module);

my %FLOOR = (client => 0, pg => 1, project => 2, shared => 3, session => 4, worker => 4, module => 5);

# The wing of a source or object file, by its folder below src/.
sub wing
{
	my ($file) = @_;

	return $1 if $file =~ m{(?:^|/)src/([^/]+)/};
	return $1 if $file =~ m{(?:^|/)src/([^/.]+)\.[cho]$};
	return '';
}

# Whether a wing is below another one.
sub below
{
	my ($low, $high) = @_;

	return $FLOOR{$low} < $FLOOR{$high};
}

1;
