module keelson.dev/distro/flannel

go 1.26.0

require github.com/flannel-io/flannel v0.28.4

replace github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common => github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common v1.3.78
