// Package packages builds the packages and tries them: that they are the same
// wherever they are built, that lintian and rpmlint find nothing, and that a fresh
// machine gets, keeps and loses what it should when they are installed, upgraded,
// removed and purged. The machine is a chroot in which systemd does not run; what
// systemd would be told is written down by a program in systemctl's place.
package packages
